"""A gate stops a real flow before its next step: after an empty table, and before anything is trained on a bad dataset."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect import flow
from small_artifacts_support import making

from flows.evaluate_policy import evaluate_policy
from flows.train_policy import train_policy
from models.learners.td3 import TD3Config
from storage.artifacts.store import ArtifactRef
from storage.dataset.histories import UserHistories
from storage.dataset.scale import RatingScale
from storage.dataset.writer import write_transitions
from storage.tables import MOVIES_SCHEMA
from tasks.caching import artifact_store
from tasks.gates import GateError, gate, validate_movies, validating
from tasks.train import TrainParams


def movies(rows: int) -> ArtifactRef:
    values = [{"movie_id": row, "title": f"Film {row}", "year": 1999, "has_metadata": True} for row in range(rows)]
    with making("movies", {"rows": rows}) as draft:
        pq.write_table(pa.Table.from_pylist(values, schema=MOVIES_SCHEMA), draft.path / "movies.parquet")
        draft.rows = rows
    return draft.committed


def dataset_of_training_users() -> ArtifactRef:
    """Ten users with ten events each, all in the training split."""
    users, events = np.arange(10), np.arange(100)
    with making("dataset") as draft:
        histories = UserHistories(
            user_id=users,
            length=np.full(10, 10),
            item=events.astype(np.int32) % 20,
            code=np.full(100, 7, dtype=np.uint8),
            timestamp=events,
        )
        draft.facts = write_transitions(
            draft.path / "transitions.h5", [histories], user_ids=users, split=np.zeros(10, np.uint8),
            movie_ids=np.arange(20), embeddings=np.eye(20, 4, dtype=np.float32), scale=RatingScale(), frame=3,
            time_cut=10_000, provenance={},
        )  # fmt: skip
        pq.write_table(pa.table({"movie_id": np.arange(20)}), draft.path / "items.parquet")
    return draft.committed


def test_a_flow_stops_at_an_empty_table_and_goes_on_after_a_good_one(prefect_here: None) -> None:
    reached: list[int] = []

    @flow
    def gated(rows: int) -> None:
        gate("movies", validate_movies, movies(rows))
        reached.append(rows)

    with validating():  # one process for all runs
        gated(5)
        with pytest.raises(GateError, match="movies: expected rows; found an empty table"):
            gated(0)
        with pytest.raises(GateError):  # again, when the result of the validation is cached
            gated(0)
    assert reached == [5]
    results = {one.facts["rows"]: one.facts["passed"] for one in artifact_store().manifests("validation-movies")}
    assert results == {5: True, 0: False}


def test_nothing_is_trained_or_evaluated_on_a_dataset_that_does_not_pass(prefect_here: None, tmp_path: Path) -> None:
    bad = dataset_of_training_users()
    params = TrainParams(learners=("td3",), td3=TD3Config(hidden_dim=8))
    refused = r"(?s)transitions: 10 rows, .* FAILED.*model selection and evaluation each need users"
    with pytest.raises(GateError, match=refused):
        train_policy(dataset=bad.digest, train=params, device="cpu")
    with pytest.raises(GateError, match=refused):
        evaluate_policy(dataset=bad.digest)
    assert artifact_store().manifests("policy") == []
    (record,) = tmp_path.glob("artifacts/validation-transitions/*/validation.json")
    assert json.loads(record.read_text())["passed"] is False
