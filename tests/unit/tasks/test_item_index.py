"""The item index of a policy as an artifact: built, measured, published and pulled."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rankings_support import small_dataset

import tasks.item_index
from models.ensemble import Ensemble
from models.histories import Histories
from models.learners.td3 import TD3Config
from serving.index.faiss_index import FaissIndex
from serving.index.of_policy import query_vectors
from serving.index.params import IndexParams
from serving.index.stored import open_index
from storage.artifacts.manifest import Recipe
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish, pull
from storage.artifacts.store import ArtifactRef
from storage.dataset.reader import TransitionDataset
from tasks.caching import artifact_store
from tasks.item_index import make_item_index, name_index, publish_index
from tasks.learning import make_learning
from tasks.policy_files import write_policy


def recipe(kind: str) -> Recipe:
    return Recipe(kind=kind, schema_version=1, parameters={}, inputs={}, code="")


@pytest.mark.parametrize(("factory", "least", "most"), [("HNSW16", 0.95, 1.0), ("LSH", 0.1, 0.9)])
def test_an_index_is_published_with_its_recall_and_finds_the_same_after_a_pull(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factory: str, least: float, most: float
) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "home"))
    store = artifact_store()
    with store.create(recipe("dataset")) as draft:
        data: TransitionDataset = small_dataset(draft.path / "transitions.h5")
    dataset = draft.committed
    with store.create(recipe("policy")) as draft:
        policy = make_learning(TD3Config(hidden_dim=8), data, 16, "cosine", "cpu", 0).policy
        write_policy(draft, policy, [])
        pq.write_table(pa.table({"movie_id": data.movie_ids}), draft.path / "items.parquet")
    made: ArtifactRef = draft.committed
    with store.create(recipe("item-index"), [dataset, made]) as draft:
        build = make_item_index.__wrapped__  # type: ignore[attr-defined]
        build(draft, dataset, made, IndexParams(engine="faiss", factory=factory, effort=64))
    index = draft.committed

    published = open_store(str(tmp_path / "published"))
    for ref in (made, index):
        publish(published, store, ref)
    name_index.fn(index, made, published.uri)
    ref = pull(published, "item-index@latest", tmp_path / "pulled")
    assert ref.digest == index.digest
    facts = store.manifest(index).facts
    assert least <= facts["recall@10"] <= most
    assert facts["overlap@10"] > 0.95  # of so few items, leaving out those of the history, LSH proposes nearly all
    again = open_index(tmp_path / "pulled" / "item-index" / index.digest)
    assert isinstance(again, FaissIndex)
    probe = Histories(*data.histories(data.starts("validation")[:9]))
    asked = query_vectors(policy, probe)
    mine = open_index(store.open(index)).search(asked, 5)
    assert torch.equal(again.search(asked, 5).items, mine.items)


def test_a_policy_without_nearness_is_published_without_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "home"))
    store = artifact_store()
    with store.create(recipe("dataset")) as draft:
        data = small_dataset(draft.path / "transitions.h5")
    dataset = draft.committed
    with store.create(recipe("policy")) as draft:
        members = [make_learning(TD3Config(hidden_dim=8), data, 16, "cosine", "cpu", seed).policy for seed in range(2)]
        write_policy(draft, Ensemble(members), [])

    def without_prefect(*given: Any) -> None:
        with store.create(recipe("item-index")) as made:
            make_item_index.__wrapped__(made, *given)  # type: ignore[attr-defined]

    monkeypatch.setattr(tasks.item_index, "make_item_index", without_prefect)
    publish_index(dataset, draft.committed, IndexParams(), str(tmp_path / "published"))
    assert "found Ensemble" in caplog.text
    assert not (tmp_path / "published").exists()
