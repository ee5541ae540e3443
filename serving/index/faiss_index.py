"""Indexes of FAISS (Johnson, Douze & Jégou 2017, arXiv:1702.08734), named as its `index_factory` names them."""

from pathlib import Path
from typing import Self

import faiss
import numpy as np
from numpy.typing import NDArray

from models.nearest import Similarity
from serving.index.errors import IndexFileError
from serving.index.item_index import ApproximateIndex, Floats
from serving.index.params import StoredIndex

FILE = "index.faiss"


class FaissIndex(ApproximateIndex):
    """Flat, IVF…, HNSW…, LSH and others: see the wiki of FAISS, “The index factory”."""

    def __init__(self, vectors: Floats, measure: Similarity, engine: faiss.Index) -> None:
        super().__init__(vectors, measure)
        self.engine = engine

    @classmethod
    def build(cls, folder: Path, vectors: Floats, stored: StoredIndex) -> Self:
        """See `VectorIndex`; the file is index.faiss."""
        factory = stored.params.factory
        # Vectors of length 1 have the same order by distance as by cosine, and LSH knows distances only.
        metric = faiss.METRIC_INNER_PRODUCT if stored.measure == "dot" else faiss.METRIC_L2
        try:
            engine = faiss.index_factory(vectors.shape[1], factory, metric)
            engine.train(vectors)
            engine.add(vectors)
        except RuntimeError as error:
            raise IndexFileError(
                f"index: expected a name of FAISS's index_factory, such as HNSW32, IVF256,Flat or LSH, for which {len(vectors)} "
                f"items are enough; found {factory!r}: {reason(error)}."
            ) from error
        faiss.write_index(engine, str(folder / FILE))
        return cls(vectors, stored.measure, with_effort(engine, stored.params.effort))

    @classmethod
    def open(cls, folder: Path, vectors: Floats, stored: StoredIndex) -> Self:
        """See `VectorIndex`."""
        path = folder / FILE
        try:
            engine = faiss.read_index(str(path))
        except RuntimeError as error:
            raise IndexFileError(
                f"{path}: expected an index of FAISS; found {reason(error)}. Build it again."
            ) from error
        if (engine.ntotal, engine.d) != vectors.shape:
            found = f"{engine.ntotal} of {engine.d}"
            raise IndexFileError(
                f"{path}: expected {len(vectors)} vectors of {vectors.shape[1]} numbers; found {found}. Build it again."
            )
        return cls(vectors, stored.measure, with_effort(engine, stored.params.effort))

    def neighbours(self, vectors: Floats, count: int) -> NDArray[np.int64]:
        """See `ApproximateIndex`."""
        _, items = self.engine.search(np.ascontiguousarray(vectors), count)
        return np.asarray(items)


def reason(error: RuntimeError) -> str:
    """What FAISS says, without the place in its code."""
    return str(error).rpartition("Error: ")[2].strip().rstrip(".")[:200]


def with_effort(engine: faiss.Index, effort: int) -> faiss.Index:
    """Set how many cells or candidates a search looks at, if the kind of index has such a number."""
    inner = faiss.downcast_index(engine)  # the same object, which `engine` owns
    if hasattr(inner, "nprobe"):
        inner.nprobe = effort
    elif hasattr(inner, "hnsw"):
        inner.hnsw.efSearch = effort
    return engine
