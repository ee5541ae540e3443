"""The feature report: the blocks of an item embedding, the variance it keeps of them, and the nearest neighbours of items."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import vl_convert
from numpy.typing import NDArray

from evaluation.report import feature_charts, figures
from evaluation.report.figures import Chart
from evaluation.report.formats import without_nan
from evaluation.report.page import render_page
from evaluation.report.projection import WAYS, Way, framed, main_groups, most_rated, plane, shortened

SHOWN_TITLES, NEIGHBOURS = 12, 10


@dataclass(frozen=True)
class FeatureReportInput:
    """The input of the report; I items, D dimensions."""

    title: str
    generated: bool
    titles: Sequence[str]  # (I,)
    groups: Sequence[str]  # (I,) an item's main genre, or a similar group; "" if unknown
    events: NDArray[np.int64]  # (I,) ratings of each item
    embedding: NDArray[np.float32]  # (I, D)
    facts: dict[str, Any]  # from features.json: blocks, explained_variance, explained_by_dimension, reduction
    licences: Sequence[str] = ()
    lineage: dict[str, str] = field(default_factory=dict)
    projection: Way = "tsne"
    points: int = 2_000
    seed: int = 0


def write_feature_report(folder: Path, data: FeatureReportInput) -> dict[str, Any]:
    """Write features.html, features.json and projection.png; equal input gives equal bytes on one machine.

    Returns:
        The content of the JSON.
    """
    numbers = feature_numbers(data)
    (folder / "features.json").write_text(json.dumps(numbers, indent=2, sort_keys=True, allow_nan=False))
    made = charts(data)
    page = render_page("features.html.j2", data.title, made, data=data, numbers=numbers)
    (folder / "features.html").write_text(page)
    picture = made[0][-1]
    (folder / "projection.png").write_bytes(vl_convert.vegalite_to_png(json.dumps(picture)))
    return numbers


def feature_numbers(data: FeatureReportInput) -> dict[str, Any]:
    """The numbers of features.json, without NaN or infinity."""
    numbers = {
        "format": "marquee-features/1",
        "title": data.title,
        "generated": data.generated,
        "items": len(data.titles),
        "width": int(data.embedding.shape[1]),
        "cold_items": int((data.events == 0).sum()),
        "items_without_vector": int((~data.embedding.any(axis=1)).sum()),
        "explained_variance": data.facts.get("explained_variance"),
        "reduction": data.facts.get("reduction"),
        "blocks": blocks_table(data.facts),
        "neighbours": neighbours(data),
        "licences": list(data.licences),
        "lineage": data.lineage,
    }
    clean: dict[str, Any] = without_nan(numbers)
    return clean


def blocks_table(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """A row per feature block; missing values are None."""
    columns = ("note", "skipped", "width", "known_items", "weight", "variance_share", "kept_share")
    return [
        {"block": name} | {column: block.get(column) for column in columns}
        for name, block in facts.get("blocks", {}).items()
    ]


def neighbours(data: FeatureReportInput) -> list[dict[str, Any]]:
    """The nearest items by cosine similarity, of the items with the most events."""
    norms = np.linalg.norm(data.embedding, axis=1, keepdims=True)
    unit = data.embedding / np.maximum(norms, 1e-12)
    found = []
    for item in most_rated(data.events, SHOWN_TITLES):
        if not data.events[item] or not norms[item]:
            continue
        cosine = unit @ unit[item]
        cosine[item] = -np.inf
        nearest = np.argsort(-cosine, kind="stable")[: min(NEIGHBOURS, len(cosine) - 1)]
        found.append(
            {
                "title": data.titles[item],
                "events": int(data.events[item]),
                "nearest": [{"title": data.titles[near], "cosine": float(cosine[near])} for near in nearest],
            }
        )
    return found


def projection_figure(data: FeatureReportInput) -> figures.Spec:
    """The picture of the embedding: the most rated items in the plane, coloured by group."""
    items = most_rated(data.events, data.points)
    position = framed(plane(data.embedding[items], data.projection, data.seed))
    grouped, legend = main_groups([data.groups[item] for item in items])
    points = pd.DataFrame(
        {
            "x": position[:, 0],
            "y": position[:, 1],
            "group": grouped,
            "title": [shortened(data.titles[item]) for item in items],
        }
    )
    dots = figures.item_map(points, legend, ["title:N", "group:N"], size=22, opacity=0.75)
    return figures.finished(dots.properties(width=760, height=560))


def charts(data: FeatureReportInput) -> list[Chart]:
    """All charts of the page."""
    shown = min(data.points, len(data.titles))
    note = f"The {shown:,} most rated items ({WAYS[data.projection]}). Colour: an item's rarest genre of the common ones. Hover for titles."
    made = [Chart("projection", "The embedding in the plane", note, projection_figure(data))]
    by_dimension = [float(share) for share in data.facts.get("explained_by_dimension", ())]
    if by_dimension:
        note = "Cumulative over the dimensions of the embedding, on the items of the training events."
        made.append(Chart("explained", "Variance kept", note, feature_charts.explained(by_dimension)))
    rows = [
        {"block": row["block"], "measure": measure, "share": row[column]}
        for row in blocks_table(data.facts)
        for measure, column in (("of all variance", "variance_share"), ("of the block kept", "kept_share"))
        if row[column] is not None
    ]
    if rows:
        note = (
            "A block's share of the variance before the reduction, and the share of the block that the embedding keeps."
        )
        made.append(Chart("blocks", "Blocks", note, feature_charts.shares(pd.DataFrame(rows))))
    norms = np.linalg.norm(data.embedding.astype(np.float64), axis=1)
    note = "Lengths of the item vectors; a peak at the far left would be items without features."
    made.append(Chart("norms", "Norms", note, feature_charts.histogram(norms, "Euclidean norm")))
    return made
