"""The catalogue in the plane, and the items that the challenger recommends most."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.record import Record
from evaluation.report.projection import Way, framed, main_groups, most_rated, plane, shortened

MARKED = 40  # most recommended items that are ringed
LISTED = 15  # most recommended items in the table


class Point(Record):
    """One item: its position, main genre, ratings, and the number of the challenger's lists that hold it."""

    x: float
    y: float
    title: str
    group: str
    events: int
    lists: int
    marked: bool


class Recommended(Record):
    """One of the most recommended items."""

    title: str
    group: str
    events: int
    rated_rank: int  # 1: the most rated item
    lists: int
    share: float  # of all lists


class EmbeddingMapSection(Record):
    """Items in the plane by their embeddings, with the items that the challenger recommends most."""

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
    """Project the most rated and the most recommended items to the plane.

    Args:
        policy: whose lists.
        best: (T, k) recommended items of T lists; -1 is no item.
        embedding: (I, D).
        events: (I,) ratings of each item.
        titles: (I,).
        groups: (I,) each item's main genre, or a similar group; "" if unknown.
        way: of projecting to the plane.
        points: at most so many.
        seed: of the projection.
    """
    lists = np.bincount(best[best >= 0], minlength=len(embedding))
    often = np.argsort(-lists, kind="stable")
    marked = often[: min(MARKED, int((lists > 0).sum()))]
    rated = most_rated(events, len(embedding))
    rest = rated[~np.isin(rated, marked)]
    items = np.concatenate((marked, rest))[:points]
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
