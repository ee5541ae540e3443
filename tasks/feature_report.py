"""The feature report stage: makes the report of an item embedding."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from prefect import task
from pydantic import BaseModel, ConfigDict, Field

from evaluation.report.features import FeatureReportInput, write_feature_report
from evaluation.report.page import template_sha256
from evaluation.report.projection import Way
from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.event_table import Column
from storage.dataset.item_index import ItemIndex
from storage.tables import embedding_matrix
from tasks.caching import artifact_store, artifact_task
from tasks.ingest import read_table
from tasks.story import link, show_image, show_table


class FeatureReportParams(BaseModel):
    """The parameters of the feature report."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    projection: Way = Field("tsne", description="Projection of the items to the plane; pca is fast.")
    points: int = Field(1_000, ge=10, le=2_500, description="At most so many items in the chart, the most rated ones.")
    seed: int = Field(0, ge=0, description="Seed of the projection.")


DEFAULTS = FeatureReportParams()


@artifact_task("feature-report")
def make_feature_report(
    draft: Draft,
    items: ArtifactRef,
    movies: ArtifactRef,
    events: ArtifactRef,
    params: FeatureReportParams,
    template: str,
) -> None:
    """Write the feature report of an items artifact."""
    store = artifact_store()
    table = read_table(items, "items.parquet")
    facts_file = store.open(items) / "features.json"
    manifest = store.manifest(items)
    data = FeatureReportInput(
        title="Marquee: item features" + (" on generated data" if manifest.generated else ""),
        generated=manifest.generated,
        titles=[title or "" for title in table["title"].to_pylist()],
        groups=main_genres(read_table(movies, "movies.parquet")),
        events=events_per_item(table, store.open(events) / "events.parquet"),
        embedding=embedding_matrix(table),
        facts=json.loads(facts_file.read_text()) if facts_file.is_file() else {},
        licences=manifest.licences,
        lineage={"items": items.digest, "movies": movies.digest, "events": events.digest},
        projection=params.projection,
        points=params.points,
        seed=params.seed,
    )
    numbers = write_feature_report(draft.path, data)
    draft.rows = len(numbers["blocks"])
    draft.facts = {"blocks": numbers["blocks"], "explained_variance": numbers["explained_variance"]}


def main_genres(movies: pa.Table) -> list[str]:
    """Every item's main genre: its rarest genre among those that 5 % of all items have; "" if none."""
    genres = [row or [] for row in movies["genres"].to_pylist()]
    counts = Counter(name for row in genres for name in row)
    least = 0.05 * len(genres)
    return [
        min((name for name in row if counts[name] >= least), key=lambda name: (counts[name], name), default="")
        for row in genres
    ]


def events_per_item(items: pa.Table, events: Path) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The number of events of every item, (I,) int64."""
    index = ItemIndex(items["movie_id"].to_numpy())
    counts = np.zeros(items.num_rows, dtype=np.int64)
    for movies in Column(events, "movie_id"):
        counts += np.bincount(index.of(movies), minlength=items.num_rows)
    return counts


def report_features(
    items: ArtifactRef, movies: ArtifactRef, events: ArtifactRef, params: FeatureReportParams = DEFAULTS
) -> ArtifactRef:
    """Make the feature report and show it; the digest of its templates is part of its recipe."""
    report = make_feature_report(items, movies, events, params, template_sha256("features.html.j2"))
    show_features(report)
    return report


@task(name="show-features")
def show_features(report: ArtifactRef) -> None:
    """Show the blocks, the chart and the report's path in the Prefect UI."""
    folder = artifact_store().open(report)
    blocks = artifact_store().manifest(report).facts["blocks"]
    show_table("features", blocks, f"Feature blocks of the items. Report: {link(folder / 'features.html')}")
    show_image("embedding", folder / "projection.png", "The item embedding in the plane")
