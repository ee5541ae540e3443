"""Learners of one real flow run that train side by side: their tasks overlap, and their policies do not change."""

from pathlib import Path
from typing import Any

import pytest
from integration.prefect_support import post
from integration.training_support import SHORT, params
from prefect import flow
from prefect.runtime import flow_run
from small_artifacts_support import made_dataset

from models.learners.td3 import TD3Config
from storage.artifacts.store import ArtifactRef
from tasks.caching import artifact_store
from tasks.train_learners import TrainingFailedError, train_learners


def test_tasks_overlap_and_policies_are_those_trained_one_by_one(
    prefect_here: None, prefect_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[str] = []

    @flow
    def train(side_by_side: int) -> dict[str, ArtifactRef]:
        runs.append(str(flow_run.id))
        return train_learners(made_dataset(), params(side_by_side=side_by_side), "cpu")

    found = []
    for side_by_side in (1, 2):
        monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / str(side_by_side)))
        policies = train(side_by_side)
        assert list(policies) == ["td3", "ranking"]
        folders = [artifact_store().open(ref) for ref in policies.values()]
        found.append(
            {
                (folder.name, file): (folder / file).read_bytes()
                for folder in folders
                for file in ("policy.safetensors", "config.json", "metrics.parquet", "items.parquet")
            }
        )
        assert not list((tmp_path / str(side_by_side) / "checkpoints").glob("*"))
    assert found[0] == found[1]
    overlap = []
    for run in runs:
        body = {"task_runs": {"flow_run_id": {"any_": [run]}}}
        first, second = sorted(post(prefect_env, "task_runs/filter", body), key=lambda one: one["start_time"])
        assert first["state_type"] == second["state_type"] == "COMPLETED"
        overlap.append(second["start_time"] < first["end_time"])
    assert overlap == [False, True]


def test_a_learner_that_fails_is_named_and_the_other_is_kept(prefect_here: None) -> None:
    wild = TD3Config(hidden_dim=8, actor_learning_rate=0.1, critic_learning_rate=0.1)
    bounded = SHORT.model_copy(update={"steps": 60, "max_value": 5.0})

    @flow
    def train(**more: Any) -> dict[str, ArtifactRef]:
        return train_learners(made_dataset(), params(side_by_side=1, **more), "cpu")

    with pytest.raises(
        TrainingFailedError,
        match=r"found policies of ranking \(seed 0\), which are kept. td3 \(seed 0\): DivergenceError: td3:",
    ):
        train(td3=wild, trainer=bounded)
    assert [one.facts["learner"] for one in artifact_store().manifests("policy")] == ["ranking"]
    with pytest.raises(ValueError, match=r"^td3: update \d+: expected"):
        train(td3=wild, trainer=bounded, learners=("td3",))
