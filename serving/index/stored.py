"""Item indexes as files: built from vectors, opened again, and compared with the exact one."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from models.nearest import Similarity
from serving.index.errors import IndexFileError
from serving.index.item_index import ExactIndex, Floats, VectorIndex
from serving.index.params import Engine, IndexParams, StoredIndex


def build_index(folder: Path, vectors: Floats, measure: Similarity, params: IndexParams) -> VectorIndex:
    """Write an index of vectors (I, D) into a folder, and return it.

    Raises:
        IndexFileError: the engine is not installed, or refuses this kind of index.
    """
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if measure == "cosine":
        vectors = normalize(torch.from_numpy(vectors), dim=1).numpy()
    np.save(folder / "vectors.npy", vectors, allow_pickle=False)
    stored = StoredIndex(measure=measure, params=params)
    (folder / "index.json").write_text(stored.model_dump_json(indent=2))
    return engine_of(params.engine).build(folder, vectors, stored)


def open_index(folder: Path, milvus_uri: str | None = None) -> VectorIndex:
    """Open an index that `build_index` wrote; the vectors are mapped, not read.

    Args:
        folder: of the index.
        milvus_uri: of a Milvus server that searches in place of Milvus Lite; its token is in MARQUEE_MILVUS_TOKEN. No
            file sets it, because a file may come from others, who must not choose where the token goes.

    Raises:
        IndexFileError: a file is missing, damaged or of another format, or the engine is not installed or cannot be reached.
    """
    try:
        stored = StoredIndex.model_validate_json((folder / "index.json").read_bytes())
        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        found = f"{type(error).__name__}: {str(error)[:200]}"
        raise IndexFileError(f"{folder}: expected an item index; found {found}. Build it again.") from error
    if vectors.ndim != 2 or vectors.dtype != np.float32:
        raise IndexFileError(
            f"{folder}: expected vectors (I, D) of float32; found {vectors.shape} of {vectors.dtype}. Build it again."
        )
    engine = engine_of(stored.params.engine)
    if milvus_uri is None:
        return engine.open(folder, vectors, stored)
    if stored.params.engine != "milvus":
        raise IndexFileError(
            f"{folder}: expected an index of the engine milvus, because milvus_uri is given; found one of "
            f"{stored.params.engine}. Leave out milvus_uri."
        )
    from serving.index.milvus_index import MilvusIndex

    return MilvusIndex.on_server(milvus_uri, vectors, stored)


def engine_of(name: Engine) -> type[VectorIndex]:
    """The class of an engine, whose library is imported now.

    Raises:
        IndexFileError: the library is not installed.
    """
    try:
        if name == "faiss":
            from serving.index.faiss_index import FaissIndex

            return FaissIndex
        if name == "milvus":
            from serving.index.milvus_index import MilvusIndex

            return MilvusIndex
    except ImportError as error:
        raise IndexFileError(
            f"index: expected the library of the engine {name}; found none ({error.name}). Install marquee[search], or use the "
            "engine exact."
        ) from error
    return ExactIndex


def recall_against_exact(index: VectorIndex, vectors: Tensor, k: int) -> float:
    """The share of the exact k nearest items that an index finds, a mean over vectors (B, D)."""
    exact = ExactIndex(index.vectors, index.measure).search(vectors, k).items
    return float(overlap(exact, index.search(vectors, k).items).mean())


def overlap(sought: Tensor, found: Tensor) -> Tensor:
    """The share of the sought items (B, k) that are among the found ones, (B, k): (B,)."""
    return (sought.unsqueeze(2) == found.unsqueeze(1)).any(2).float().mean(1)
