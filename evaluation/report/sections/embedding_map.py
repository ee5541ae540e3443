"""The catalogue in the plane, and where on it the challenger sends people."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.report.figures import GROUP_COLOURS, finished
from evaluation.report.page import Chart
from evaluation.report.projection import WAYS, Way, framed, main_groups, most_rated, plane, shortened
from evaluation.report.sections.section import Section

MOST_POINTS = 2_000
MARKED = 40  # most recommended items that are ringed
LISTED = 15  # of them in the table


class Point(Section):
    """One item: its place, main genre, ratings, and how many of the challenger's lists hold it."""

    x: float
    y: float
    title: str
    group: str
    events: int
    lists: int
    marked: bool


class Recommended(Section):
    """One of the items that the challenger recommends most."""

    title: str
    group: str
    events: int
    rated_rank: int  # 1: the most rated item
    lists: int
    share: float  # of all lists


class EmbeddingMapSection(Section):
    """Items in the plane by their embeddings, those the challenger recommends most among them."""

    policy: str
    k: int
    lists: int
    way: Way
    catalogue: int
    groups: tuple[str, ...]
    points: tuple[Point, ...]
    most_recommended: tuple[Recommended, ...]


def measure_embedding_map(
    policy: str,
    best: NDArray[np.int64],
    embedding: NDArray[np.float32],
    events: NDArray[np.int64],
    titles: Sequence[str],
    groups: Sequence[str],
    way: Way = "tsne",
    points: int = 1_000,
    seed: int = 0,
) -> EmbeddingMapSection:
    """The most rated items and the most recommended ones in the plane.

    Args:
        policy: whose lists.
        best: (T, k) recommended items of T lists; -1 is no item.
        embedding: (I, D).
        events: (I,) ratings of each item.
        titles: (I,)
        groups: (I,) each item's main genre, or what is like one in its domain; "" where unknown.
        way: how items are laid into the plane.
        points: at most so many.
        seed: of the projection.
    """
    lists = np.bincount(best[best >= 0], minlength=len(embedding))
    often = np.argsort(-lists, kind="stable")
    marked = often[: min(MARKED, int((lists > 0).sum()))]
    rated = most_rated(events, len(embedding))
    rest = rated[~np.isin(rated, marked)]
    items = np.concatenate((marked, rest))[: min(points, MOST_POINTS)]
    position = framed(plane(embedding[items], way, seed))
    grouped, legend = main_groups([groups[item] for item in items])
    rank = np.empty(len(rated), dtype=np.int64)
    rank[rated] = np.arange(1, len(rated) + 1)
    shown = tuple(
        Point(
            x=float(x),
            y=float(y),
            title=shortened(titles[item]),
            group=group,
            events=int(events[item]),
            lists=int(lists[item]),
            marked=place < len(marked),
        )
        for place, ((x, y), item, group) in enumerate(zip(position, items.tolist(), grouped, strict=True))
    )
    table = tuple(
        Recommended(
            title=shortened(titles[item]),
            group=group,
            events=int(events[item]),
            rated_rank=int(rank[item]),
            lists=int(lists[item]),
            share=float(lists[item] / max(len(best), 1)),
        )
        for item, group in zip(marked[:LISTED].tolist(), grouped, strict=False)
    )
    return EmbeddingMapSection(
        policy=policy,
        k=best.shape[1],
        lists=len(best),
        way=way,
        catalogue=len(embedding),
        groups=tuple(legend),
        points=shown,
        most_recommended=table,
    )


def charts(section: EmbeddingMapSection) -> list[Chart]:
    """The map: a colour per genre, rings around what is recommended most."""
    if not section.points:
        return []
    data = pd.DataFrame([point.model_dump() for point in section.points])
    named = [name for name in section.groups if name != "other"]
    colours = dict(zip(named, GROUP_COLOURS, strict=False)) | {"other": "#8c959d"}
    scale = alt.Scale(domain=list(section.groups), range=[colours[name] for name in section.groups])
    tooltip = ["title:N", "group:N", alt.Tooltip("events:Q", title="ratings"), alt.Tooltip("lists:Q", title="lists")]
    base = alt.Chart(data.sort_values("group", key=lambda names: names != "other", kind="stable")).encode(
        x=alt.X("x:Q", axis=None), y=alt.Y("y:Q", axis=None)
    )
    dots = base.mark_circle(size=24, opacity=0.7).encode(
        color=alt.Color("group:N", scale=scale, title="main genre"), tooltip=tooltip
    )
    rings = (
        base.transform_filter("datum.marked")
        .mark_point(filled=False, stroke="#808890", strokeWidth=1.8, opacity=1)
        .encode(size=alt.Size("lists:Q", title="in so many lists", scale=alt.Scale(range=[60, 420])), tooltip=tooltip)
    )
    note = (
        f"{len(section.points):,} of {section.catalogue:,} items ({WAYS[section.way]}). Colour: an item's rarest genre of the "
        f"common ones. Ringed: what {section.policy} recommends most, the larger the oftener. Hover for titles."
    )
    spec = finished((dots + rings).properties(width=760, height=520))
    return [("embedding-map", "The catalogue in the plane", note, spec)]
