"""Item indexes against a search that is written out."""

import fcntl
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pymilvus import MilvusClient
from torch import Tensor

from models.errors import LearnerError
from models.nearest import NearestItems, Similarity
from serving.index import item_index, milvus_index
from serving.index.errors import IndexFileError
from serving.index.item_index import VectorIndex
from serving.index.milvus_index import connect, end_lite, filled_collection, opened_copy
from serving.index.params import IndexParams, StoredIndex
from serving.index.stored import build_index, open_index, recall_against_exact

ITEMS = torch.randn((400, 12), generator=torch.Generator().manual_seed(1)) * torch.linspace(0.5, 2, 400).unsqueeze(1)
QUERIES = torch.randn((7, 12), generator=torch.Generator().manual_seed(2))
MEASURES: tuple[Similarity, ...] = ("cosine", "dot", "euclidean")
WHOLE = [  # engines that find everything
    *(("exact", "", measure) for measure in MEASURES),
    *(("faiss", "Flat", measure) for measure in MEASURES),
    *(("faiss", "IVF8,Flat", measure) for measure in MEASURES),  # all cells are looked into
    ("milvus", "FLAT", "cosine"),
    ("milvus", "FLAT", "euclidean"),
]
SOME = [("faiss", "HNSW32", "cosine"), ("faiss", "LSH", "cosine"), ("milvus", "HNSW", "dot")]


def params(engine: str, factory: str, **more: Any) -> IndexParams:
    return IndexParams.model_validate({"engine": engine, "factory": factory, "effort": 64} | more)


@pytest.fixture(params=WHOLE, ids=" ".join)
def index(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorIndex]:
    engine, factory, measure = request.param
    build_index(tmp_path, ITEMS.numpy(), measure, params(engine, factory))
    yield open_index(tmp_path)


def written(index: VectorIndex, row: int, exclude: Tensor | None = None, wanted: Tensor | None = None) -> list[int]:
    """All items that are asked for, nearest first."""
    scores = NearestItems(ITEMS, index.measure).scores(QUERIES[row : row + 1])[0]
    unwanted = set() if exclude is None else set(exclude[row].tolist())
    allowed = [item for item in range(400) if item not in unwanted and (wanted is None or bool(wanted[item]))]
    return sorted(allowed, key=lambda item: -float(scores[item]))


@pytest.mark.parametrize("few", [item_index.FEW, 3], ids=["a filter is searched exactly", "an engine is asked"])
def test_nearest_items_with_their_scores(index: VectorIndex, monkeypatch: pytest.MonkeyPatch, few: int) -> None:
    monkeypatch.setattr(item_index, "FEW", few)
    exclude = torch.full((7, 9), -1)
    exclude[:, 2:] = torch.stack([torch.tensor(written(index, row)[:7]) for row in range(7)])
    wanted = torch.arange(400) % 3 > 0
    nearest = NearestItems(ITEMS, index.measure).scores(QUERIES)
    for without, only in ((None, None), (exclude, None), (None, wanted), (exclude, wanted)):
        found = index.search(QUERIES, 5, without, only)
        assert found.items.tolist() == [written(index, row, without, only)[:5] for row in range(7)]
        torch.testing.assert_close(found.scores, nearest.gather(1, found.items), rtol=1e-5, atol=1e-5)


def test_fewer_items_than_asked_for(index: VectorIndex) -> None:
    wanted = torch.zeros(400, dtype=torch.bool)
    wanted[[3, 77, 200]] = True
    found = index.search(QUERIES, 5, torch.tensor([[77]] * 7), wanted)
    assert (found.items[:, :2].sort(1).values == torch.tensor([3, 200])).all()
    assert (found.items[:, 2:] == -1).all()
    assert (found.scores[:, 2:] == -torch.inf).all()
    assert (index.search(QUERIES, 500).items[:, 400:] == -1).all()
    for vectors, k in ((QUERIES[:, 1:], 5), (QUERIES[0], 5), (QUERIES, 0)):
        with pytest.raises(LearnerError, match=r"expected vectors \(B, 12\)"):
            index.search(vectors, k)


@pytest.mark.parametrize(("engine", "factory", "measure"), SOME, ids=[" ".join(one) for one in SOME])
def test_an_approximate_engine_misses_items_but_gives_no_wrong_score(
    engine: str, factory: str, measure: Similarity, tmp_path: Path
) -> None:
    index = build_index(tmp_path, ITEMS.numpy(), measure, params(engine, factory))
    found = index.search(QUERIES, 20)
    scores = NearestItems(ITEMS, measure).scores(QUERIES)
    torch.testing.assert_close(found.scores, scores.gather(1, found.items), rtol=1e-5, atol=1e-5)
    assert (found.scores.diff(dim=1) <= 0).all()
    best = scores.topk(20).indices.tolist()
    share = np.mean([len(set(own) & set(exact)) / 20 for own, exact in zip(found.items.tolist(), best, strict=True)])
    assert recall_against_exact(index, QUERIES, 20) == pytest.approx(share)
    assert share > (0.3 if factory == "LSH" else 0.9)


@pytest.mark.parametrize(
    ("engine", "factory", "said"),
    [
        ("faiss", "NoSuchKind", "index_factory"),
        ("faiss", "IVF4000,Flat", "items are enough"),
        ("milvus", "NOSUCH", "index type"),
    ],
)
def test_a_kind_that_an_engine_does_not_know_is_refused(engine: str, factory: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(IndexFileError, match=said):
        build_index(tmp_path, ITEMS.numpy(), "cosine", params(engine, factory))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    build_index(tmp_path, ITEMS.numpy(), "cosine", params("faiss", "HNSW8"))
    for name in ("index.json", "vectors.npy", "index.faiss"):
        whole = (tmp_path / name).read_bytes()
        for damaged in (b"", whole[: len(whole) // 2], None):
            (tmp_path / name).unlink()
            if damaged is not None:
                (tmp_path / name).write_bytes(damaged)
            with pytest.raises(IndexFileError, match="Build it again"):
                open_index(tmp_path)
            (tmp_path / name).write_bytes(whole)
    np.save(tmp_path / "vectors.npy", np.zeros((399, 12), np.float32))
    with pytest.raises(IndexFileError, match="expected 399 vectors of 12 numbers; found 400 of 12"):
        open_index(tmp_path)


def test_milvus_lite_is_searched_while_another_process_has_it_open(tmp_path: Path) -> None:
    build_index(tmp_path, ITEMS.numpy(), "cosine", params("milvus", "FLAT"))
    with (tmp_path / "milvus.db" / "LOCK").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert open_index(tmp_path).search(QUERIES, 3).items.shape == (7, 3)


def test_only_the_caller_names_a_server(nobody: str, tmp_path: Path) -> None:
    build_index(tmp_path, ITEMS.numpy(), "cosine", params("milvus", "FLAT"))
    with pytest.raises(IndexFileError, match=f"{nobody}: expected a Milvus server"):
        open_index(tmp_path, milvus_uri=nobody)
    with pytest.raises(IndexFileError, match="without a password") as refused:
        open_index(tmp_path, milvus_uri="http://root:secret@host:19530")
    assert "secret" not in str(refused.value)
    file = tmp_path / "index.json"
    stored = json.loads(file.read_text())
    stored["params"]["uri"] = nobody
    file.write_text(json.dumps(stored))
    with pytest.raises(IndexFileError, match="uri"):
        open_index(tmp_path)


def test_of_two_processes_that_fill_a_collection_one_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored, client = StoredIndex(measure="dot", params=params("milvus", "FLAT")), connect(str(tmp_path / "milvus.db"))
    alone, filled = milvus_index.fill, []

    def while_another_fills(client: MilvusClient, collection: str, *rest: Any) -> None:
        monkeypatch.setattr(milvus_index, "fill", alone)
        filled.append(filled_collection(client, ITEMS.numpy(), stored))
        alone(client, collection, *rest)

    monkeypatch.setattr(milvus_index, "fill", while_another_fills)
    name = filled_collection(client, ITEMS.numpy(), stored)
    assert filled == client.list_collections() == [name]
    assert client.get_collection_stats(name)["row_count"] == 400
    end_lite(client, tmp_path / "milvus.db")


def test_no_copy_of_a_damaged_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "milvus.db").write_text("damaged")
    with pytest.raises(IndexFileError, match="expected a Milvus server, or a file of Milvus Lite"):
        opened_copy(tmp_path / "milvus.db")
    assert not list((tmp_path / "temporary").iterdir())


def test_a_filter_that_wants_no_item_finds_none(index: VectorIndex) -> None:
    found = index.search(QUERIES, 5, torch.tensor([[77]] * 7), torch.zeros(400, dtype=torch.bool))
    assert (found.items == -1).all()
    assert (found.scores == -torch.inf).all()
    assert found.items.shape == found.scores.shape == (7, 5)
