"""Item features: text embeddings by Dask, statistics, PCA, in one table with a row per item."""

import json
import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from models.encoders.reduce import reduce_blocks
from storage.artifacts import ArtifactRef, Draft
from storage.splits import training_events
from storage.tables import items_table
from tasks.caching import artifact_store, artifact_task
from tasks.dask_cluster import ClusterParams
from tasks.feature_blocks import metadata_blocks, rating_blocks
from tasks.ingest import read_table
from tasks.texts import TextParams, make_texts

logger = logging.getLogger("marquee.features")


class FeatureParams(BaseModel):
    """What an item embedding is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: TextParams = Field(TextParams(), description="Which encoder reads how much of a text.")
    dim: int = Field(128, ge=2, le=1024, description="Width D of the item embedding after PCA.")
    text_weight: float = Field(1.0, ge=0, description="Standard deviation given to the text block before PCA.")
    metadata_weight: float = Field(0.5, ge=0, description="The same for genres, people, countries, money and years.")
    rating_weight: float = Field(0.5, ge=0, description="The same for statistics of the training ratings.")


@artifact_task(
    "items",
    modules=(
        "tasks.feature_blocks",
        "models.encoders.tabular",
        "models.encoders.reduce",
        "storage.splits",
        "storage.tables",
    ),
)
def make_items(
    draft: Draft,
    movies: ArtifactRef,
    events: ArtifactRef,
    splits: ArtifactRef,
    texts: ArtifactRef,
    params: FeatureParams,
) -> None:
    """Join text embeddings and statistics, reduce them to `params.dim`; all fitting sees training events only."""
    table = read_table(movies, "movies.parquet")
    rated = read_table(events, "events.parquet")
    users = read_table(splits, "users.parquet")
    cut = json.loads((artifact_store().open(splits) / "splits.json").read_text())["time_cut"]
    item = np.searchsorted(table["movie_id"].to_numpy(), rated["movie_id"].to_numpy())
    split = users["split"].to_numpy()[np.searchsorted(users["user_id"].to_numpy(), rated["user_id"].to_numpy())]
    training = training_events(split, rated["timestamp"].to_numpy(), cut)
    train_items = np.zeros(table.num_rows, dtype=bool)
    train_items[item[training]] = True

    text = np.load(artifact_store().open(texts) / "texts.npy", allow_pickle=False)
    blocks = {
        "text": text,
        "metadata": metadata_blocks(table, train_items),
        "ratings": rating_blocks(
            item[training],
            rated["rating"].to_numpy()[training],
            rated["timestamp"].to_numpy()[training],
            table.num_rows,
            train_items,
        ),
    }
    weights = {"text": params.text_weight, "metadata": params.metadata_weight, "ratings": params.rating_weight}
    reduced = reduce_blocks(blocks, weights, params.dim, train_items)
    items = items_table(table, reduced.embedding, has_text=np.abs(text).sum(axis=1) > 0)
    pq.write_table(items, draft.path / "items.parquet")
    draft.rows = items.num_rows
    draft.facts = {
        "explained_variance": round(float(reduced.explained_variance), 6),
        "block_widths": reduced.block_widths,
        "items_in_training": int(train_items.sum()),
        "with_text": int(pa.compute.sum(items["has_text"]).as_py()),
        "with_metadata": int(pa.compute.sum(items["has_metadata"]).as_py()),
    }
    logger.info("items: %s", json.dumps(draft.facts))


def build_items(
    movies: ArtifactRef, events: ArtifactRef, splits: ArtifactRef, params: FeatureParams, cluster: ClusterParams
) -> ArtifactRef:
    """Both steps of the stage; changed weights or splits do not encode the texts again."""
    texts = make_texts(movies, params.text, cluster)
    return make_items(movies, events, splits, texts, params)
