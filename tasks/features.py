"""Item features: blocks of text, metadata, tags and training events, reduced to one table with a row per item."""

import json
import logging
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, create_model

from models.encoders.blocks import BLOCKS
from models.encoders.fitted import FittedFeatures
from models.encoders.passes import Embedded, embed_partitions
from models.encoders.reduce import Reduction
from storage.artifacts.store import ArtifactRef, Draft
from storage.sources.movielens.genome import GENOME_LICENCE
from storage.tables import items_table
from tasks.caching import artifact_store, artifact_task
from tasks.dask_cluster import ClusterParams, workers
from tasks.feature_blocks import item_rows
from tasks.fitted_features import write_features
from tasks.ingest import read_table
from tasks.item_partitions import item_partitions
from tasks.steps import in_words
from tasks.texts import TextParams, make_texts

logger = logging.getLogger("marquee.features")

NAMED_COLUMNS = 10  # of a block, in features.json
NAMED_DIMENSIONS = 16


_FIELDS: dict[str, Any] = {
    name: (float, Field(block.weight, ge=0, le=100, description=block.note)) for name, block in BLOCKS.items()
}
_Weights: Any = create_model("_Weights", **_FIELDS)  # one field per registered block


class BlockWeights(_Weights):
    """Weight of each block of features: its standard deviation before the reduction, over items that it knows; 0 leaves it out."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FeatureParams(BaseModel):
    """Parameters of the item embedding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: TextParams = Field(TextParams(), description="The text encoder.")
    weights: BlockWeights = Field(BlockWeights(), description="Weight of each block of features; 0 leaves it out.")
    reduction: Reduction = Field(
        "pca", description="How the blocks become D dimensions; all are fit on training items."
    )
    dim: int = Field(128, ge=2, le=1024, description="Width D of the item embedding.")
    seed: int = Field(0, ge=0, description="Seed of the autoencoder; the other reductions draw nothing.")


@artifact_task("items", outside=("cluster",))
def make_items(
    draft: Draft,
    movies: ArtifactRef,
    events: ArtifactRef,
    splits: ArtifactRef,
    texts: ArtifactRef,
    params: FeatureParams,
    cluster: ClusterParams,
    tags: ArtifactRef | None = None,
) -> None:
    """Build every block of features and reduce them to `params.dim` dimensions; everything is fitted on training events only.

    What was fitted is kept in features.safetensors, so that further movies can be placed among these.

    Args:
        draft: receives items.parquet, features.safetensors and features.json.
        movies: with movies.parquet.
        events: with events.parquet.
        splits: with users.parquet.
        texts: of the movies.
        params: the blocks, their weights and the reduction.
        cluster: where the features are computed.
        tags: of the movies, if the source has some.
    """
    store = artifact_store()
    table = read_table(movies, "movies.parquet")
    text = np.load(store.open(texts) / "texts.npy", allow_pickle=False)
    weights = params.weights.model_dump()
    folder = store.open(tags) if tags is not None and weights["tags"] + weights["genome"] > 0 else None
    rows = item_rows(
        table,
        text,
        store.open(events) / "events.parquet",
        read_table(splits, "users.parquet"),
        tags=folder if weights["tags"] > 0 else None,
        genome=folder if weights["genome"] > 0 else None,
    )
    train = int(pa.compute.sum(rows["train"]).as_py())
    with workers(cluster, threads=1) as submit, item_partitions(rows, cluster) as partitions:
        del rows  # the partitions have them
        found = embed_partitions(submit, partitions, weights, params.dim, params.reduction, params.seed)
        embedding = np.concatenate([partition.read("embedding") for partition in partitions])

    encoder = store.manifest(texts).recipe.parameters
    write_features(draft.path, FittedFeatures(found.fits, found.reducer, encoder))
    items = items_table(table, embedding, has_text=text.any(axis=1))
    pq.write_table(items, draft.path / "items.parquet")
    draft.rows = items.num_rows
    draft.licences += [GENOME_LICENCE] * ("genome" in found.fits)
    draft.facts = {
        "reduction": params.reduction,
        "explained_variance": round(found.kept.explained_variance, 6),
        "blocks": block_facts(found, weights),
        "items_in_training": train,
        "with_text": int(text.any(axis=1).sum()),
        "with_metadata": int(pa.compute.sum(items["has_metadata"]).as_py()),
    }
    (draft.path / "features.json").write_text(json.dumps(draft.facts | what_stands_out(found), indent=1))
    logger.info("items: %s", in_words(draft.facts))


def block_facts(found: Embedded, weights: dict[str, float]) -> dict[str, dict[str, Any]]:
    """Per block its description, and its numbers or the reason why it was skipped."""
    facts: dict[str, dict[str, Any]] = {}
    for name, weight in weights.items():
        facts[name] = {"note": BLOCKS[name].note}
        if weight == 0:
            facts[name]["skipped"] = "weight 0"
        elif name not in found.fits:
            facts[name]["skipped"] = "not in the source"
        else:
            facts[name] |= {
                "weight": weight,
                "width": len(found.fits[name].names),
                "known_items": found.known.get(name, 0),
                "variance_share": round(found.kept.variance_share[name], 6),
                "kept_share": round(found.kept.kept_share[name], 6),
            }
    return facts


def what_stands_out(found: Embedded) -> dict[str, Any]:
    """The details of the feature report: the columns with most of the kept variance, and those that correlate with the first dimensions.

    `columns`: block → [[name, fraction of the total variance]]; `dimensions`: [{"share": fraction of the total variance,
    "positive", "negative": [[block, column, correlation]]}].
    """
    columns = {
        name: [
            [fit.names[place], round(float(found.kept.column_kept[name][place]), 6)]
            for place in np.argsort(-found.kept.column_kept[name], kind="stable")[:NAMED_COLUMNS]
        ]
        for name, fit in found.fits.items()
    }
    named = [name for name in found.fits if BLOCKS[name].named]
    labels = [(name, column) for name in named for column in found.fits[name].names]
    dimensions = []
    for place in range(min(NAMED_DIMENSIONS, len(found.kept.dimension_share))):
        loading = np.concatenate([np.zeros(0, np.float32), *(found.kept.loadings[name][:, place] for name in named)])
        order = np.argsort(loading, kind="stable")
        ends = {"positive": order[::-1][:5], "negative": order[:5]}
        dimensions.append(
            {"share": round(float(found.kept.dimension_share[place]), 6)}
            | {end: [[*labels[row], round(float(loading[row]), 3)] for row in rows] for end, rows in ends.items()}
        )
    by_dimension = [round(float(share), 6) for share in found.kept.dimension_share]
    return {"columns": columns, "dimensions": dimensions, "explained_by_dimension": by_dimension}


def build_items(
    movies: ArtifactRef,
    events: ArtifactRef,
    splits: ArtifactRef,
    params: FeatureParams,
    cluster: ClusterParams,
    tags: ArtifactRef | None,
) -> ArtifactRef:
    """Encode the texts, then make the items; changed block weights or splits do not encode the texts again."""
    texts = make_texts(movies, params.text, cluster)
    return make_items(movies, events, splits, texts, params, cluster, tags)
