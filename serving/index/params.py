"""Which engine searches for items, and what index.json says of it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from models.nearest import Similarity

FORMAT: Literal["marquee-item-index/2"] = "marquee-item-index/2"
Engine = Literal["exact", "faiss", "milvus"]


class IndexParams(BaseModel):
    """Which engine searches, and how."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Engine = Field("exact", description="exact: compares all items, and needs no library; faiss; milvus.")
    factory: str = Field(
        "HNSW32",
        max_length=100,
        description="Kind of index. faiss: a name of its index_factory, such as Flat, IVF256,Flat, HNSW32 or LSH; milvus: FLAT, "
        "IVF_FLAT or HNSW; exact: not used.",
    )
    effort: int = Field(
        128,
        ge=1,
        le=16_384,
        description="Cells (IVF) or candidates (HNSW) that a search looks at: more recall, less speed.",
    )


class StoredIndex(BaseModel):
    """index.json: the vectors are in vectors.npy beside it, and those of FAISS and Milvus Lite also in the engine's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["marquee-item-index/2"] = FORMAT
    measure: Similarity
    params: IndexParams
