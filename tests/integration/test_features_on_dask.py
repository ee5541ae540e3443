"""Features on worker processes of a real scheduler over TCP: the same items as in one process, past the death of a worker."""

import inspect
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dask_support import running_scheduler
from small_artifacts_support import making

import tasks.item_partitions
from models.encoders.blocks import BLOCKS
from models.encoders.passes import embed_partitions
from models.encoders.sums import Sums
from storage.artifacts.store import ArtifactRef
from storage.tables import EVENTS_SCHEMA, MOVIES_SCHEMA, TAGS_SCHEMA, embedding_matrix
from tasks.caching import artifact_store
from tasks.dask_cluster import ClusterParams, dask_client, in_this_process, on_dask
from tasks.feature_blocks import item_rows
from tasks.features import FeatureParams, make_items
from tasks.item_partitions import item_partitions

ITEMS, USERS, ROWS = 300, 40, 64
WEIGHTS = {name: block.weight for name, block in BLOCKS.items()}


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with running_scheduler(2) as address:
        yield address


@pytest.fixture(autouse=True)
def small_partitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tasks.item_partitions, "ROWS", ROWS)


def sources() -> dict[str, ArtifactRef]:
    """Movies with metadata, tags, a genome and events; some items have no events."""
    rng = np.random.default_rng(0)

    def some(words: str) -> list[str]:
        return [word for word in words.split() if rng.random() < 0.4]

    lists = {"genres": "Drama War Comedy", "cast": "Ann Bob Cid Dan", "directors": "Eve Fay", "keywords": "sea space"}
    movies = [
        {
            "movie_id": 10 * place, "external_id": str(10 * place), "title": f"Movie {place}", "year": 1930 + place % 90,
            "overview": " ".join(some("captain ship storm island letter harbour robot")), "has_metadata": True,
            "budget_usd": float(rng.uniform(0, 1e8)), "status": "Released",
            **{name: some(words) for name, words in lists.items()},
        }
        for place in range(ITEMS)
    ]  # fmt: skip
    rated = [(user, 10 * int(item)) for user in range(USERS) for item in rng.permutation(ITEMS - 20)[:30]]
    events = [(user, movie, float(rng.integers(1, 11)) / 2, 100) for user, movie in sorted(rated)]
    tags = [(user, movie, str(rng.choice(["dark", "funny", "slow"])), 100) for user, movie in rated[::3]]

    def table(rows: list[Any], schema: pa.Schema) -> pa.Table:
        named = [row if isinstance(row, dict) else dict(zip(schema.names, row, strict=True)) for row in rows]
        return pa.Table.from_pylist(named, schema)

    made = {}
    with making("movies") as draft:
        pq.write_table(table(movies, MOVIES_SCHEMA), draft.path / "movies.parquet")
    made["movies"] = draft.committed
    with making("events") as draft:
        pq.write_table(table(events, EVENTS_SCHEMA), draft.path / "events.parquet")
    made["events"] = draft.committed
    with making("splits") as draft:
        users = pa.table({"user_id": list(range(USERS)), "train_until": [10**9] * USERS})
        pq.write_table(users, draft.path / "users.parquet")
    made["splits"] = draft.committed
    with making("texts", {"weights": "w"}) as draft:
        np.save(draft.path / "texts.npy", rng.normal(size=(ITEMS, 8)).astype(np.float32))
    made["texts"] = draft.committed
    with making("tags") as draft:
        pq.write_table(table(tags, TAGS_SCHEMA), draft.path / "tags.parquet")
        np.save(draft.path / "genome.npy", rng.random((50, 4), dtype=np.float32))
        np.save(draft.path / "genome_movies.npy", np.arange(50) * 10)
        (draft.path / "genome_tags.json").write_text(json.dumps(["w", "x", "y", "z"]))
    made["tags"] = draft.committed
    return made


def items_of(given: dict[str, ArtifactRef], cluster: ClusterParams) -> tuple[pa.Table, dict[str, Any]]:
    """The items table and the facts that `make_items` gives on a cluster."""
    params = FeatureParams(dim=16)
    with making("items", {"where": str(cluster.scheduler)}) as draft:
        inspect.unwrap(make_items)(draft, **given, params=params, cluster=cluster)
    folder = artifact_store().open(draft.committed)
    return pq.read_table(folder / "items.parquet"), json.loads((folder / "features.json").read_text())


def test_items_are_those_of_one_process(scheduler: str, tmp_path: Path) -> None:
    given = sources()
    here, facts = items_of(given, ClusterParams())
    there, others = items_of(given, ClusterParams(scheduler=scheduler, exchange=f"file://{tmp_path}/exchange"))
    assert there.drop(["embedding"]).equals(here.drop(["embedding"]))
    np.testing.assert_allclose(embedding_matrix(there), embedding_matrix(here), rtol=1e-4, atol=1e-4)
    assert np.abs(embedding_matrix(here)).max() > 1
    assert {block: fact.get("width") for block, fact in facts["blocks"].items()} == {
        block: fact.get("width") for block, fact in others["blocks"].items()
    }
    assert all(
        facts["blocks"][block].get("width") for block in ("genome", "tags", "collaborative", "ratings", "people")
    )
    assert not list((tmp_path / "exchange").iterdir()), "finished work leaves nothing behind"


def test_a_worker_that_is_killed_in_a_pass_changes_nothing(scheduler: str, tmp_path: Path) -> None:
    folders = {name: artifact_store().open(ref) for name, ref in sources().items()}
    text = np.load(folders["texts"] / "texts.npy")
    movies, users = (
        pq.read_table(folders["movies"] / "movies.parquet"),
        pq.read_table(folders["splits"] / "users.parquet"),
    )
    rows = item_rows(movies, text, folders["events"] / "events.parquet", users, folders["tags"], folders["tags"])
    with in_this_process(1) as submit, item_partitions(rows, ClusterParams()) as partitions:
        embed_partitions(submit, partitions, WEIGHTS, 16)
        expected = [partition.read("embedding") for partition in partitions]

    cluster = ClusterParams(scheduler=scheduler, exchange=f"file://{tmp_path}/exchange")
    with dask_client(scheduler) as client, item_partitions(rows, cluster) as partitions:
        client.wait_for_workers(2, timeout=600)
        submit, killed = on_dask(client), []

        def submit_and_kill(function: Any, *arguments: Any) -> Any:
            future = submit(function, *arguments)
            if function.__name__ == "apply" and not killed:
                assert isinstance(future.result(), Sums)  # it is in the memory of one worker
                killed.extend(client.who_has([future])[future.key])
                client.run(os._exit, 1, workers=killed, wait=False, on_error="ignore")
            return future

        embed_partitions(submit_and_kill, partitions, WEIGHTS, 16)
        found = [partition.read("embedding") for partition in partitions]
    assert killed
    np.testing.assert_allclose(np.concatenate(found), np.concatenate(expected), rtol=1e-4, atol=1e-4)
