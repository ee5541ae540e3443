"""The item index of a policy as an artifact: built, measured, published and pulled."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_artifacts_support import filled, made_dataset, making, untrained_policy

import tasks.item_index
from models.ensemble import Ensemble
from models.histories import Histories
from models.learners.td3 import TD3Config
from serving.index.faiss_index import FaissIndex
from serving.index.of_policy import query_vectors
from serving.index.params import IndexParams
from serving.index.stored import open_index
from serving.stored_policies import load_policy
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish, pull
from storage.artifacts.store import ArtifactRef
from tasks.caching import artifact_store
from tasks.datasets import open_dataset
from tasks.item_index import make_item_index, name_index, publish_index
from tasks.learning import make_learning
from tasks.policy_files import write_policy


@pytest.mark.parametrize(("factory", "least", "most"), [("HNSW16", 0.95, 1.0), ("LSH", 0.1, 0.9)])
def test_an_index_is_published_with_its_recall_and_finds_the_same_after_a_pull(
    tmp_path: Path, factory: str, least: float, most: float
) -> None:
    store, dataset = artifact_store(), made_dataset()
    made, data = untrained_policy(dataset, TD3Config(hidden_dim=8), seed=0), open_dataset(dataset)
    policy = load_policy(store.open(made), data.embedding)
    params = IndexParams(engine="faiss", factory=factory, effort=64)
    index = filled("item-index", make_item_index, dataset, made, params)

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
    dataset = made_dataset()
    data = open_dataset(dataset)
    with making("policy") as draft:
        members = [make_learning(TD3Config(hidden_dim=8), data, 16, "cosine", "cpu", seed).policy for seed in range(2)]
        write_policy(draft, Ensemble(members), [])

    def without_prefect(*given: Any) -> ArtifactRef:
        return filled("item-index", make_item_index, *given)

    monkeypatch.setattr(tasks.item_index, "make_item_index", without_prefect)
    publish_index(dataset, draft.committed, IndexParams(), str(tmp_path / "published"))
    assert "found Ensemble" in caplog.text
    assert not (tmp_path / "published").exists()
