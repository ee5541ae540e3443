"""The splits stage: users, the time cut, and until when training sees each user."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_artifacts_support import filled, making

from storage.artifacts.store import ArtifactRef
from storage.dataset.splits import SplitParams
from storage.tables import EVENTS_SCHEMA
from tasks.caching import artifact_store
from tasks.ingest import make_splits, read_table

TIMES = {1: [5, 6, 7, 9], 2: [3, 3, 3], 4: [8], 6: [1, 2, 2, 2]}


@pytest.fixture
def events() -> ArtifactRef:
    rows = [
        {"user_id": user, "movie_id": 10 * place, "rating": 3.0, "timestamp": time}
        for user, times in TIMES.items()
        for place, time in enumerate(times)
    ]
    with making("events") as draft:
        pq.write_table(pa.Table.from_pylist(rows, EVENTS_SCHEMA), draft.path / "events.parquet", row_group_size=3)
    return draft.committed


def splits(events: ArtifactRef, params: SplitParams) -> tuple[dict[str, list[int]], dict[str, object]]:
    made = filled("splits", make_splits, events, params)
    found = json.loads((artifact_store().open(made) / "splits.json").read_text())
    return read_table(made, "users.parquet").to_pydict(), found


def test_with_held_out_users_training_sees_the_others_up_to_the_cut(events: ArtifactRef) -> None:
    users, found = splits(events, SplitParams(time_quantile=0.5))
    assert found == {"mode": "users", "time_cut": 3}
    assert users["user_id"] == list(TIMES)
    assert set(users["split"]) == {0, 1, 2}
    assert users["train_until"] == [3 if split == 0 else -1 for split in users["split"]]


def test_with_leave_one_out_training_sees_all_before_the_last_two_events(events: ArtifactRef) -> None:
    users, found = splits(events, SplitParams(mode="leave-one-out"))
    assert found == {"mode": "leave-one-out", "time_cut": 9}
    assert users["split"] == [0, 0, 0, 0]
    assert users["train_until"] == [6, 2, 7, 1]
