"""Rankings drawn at random, whole, so that any definition of a metric can be held against them; parts of a report alone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.ranking import Ranked
from evaluation.record import Record
from evaluation.report.figures import Chart
from evaluation.report.page import render_partial
from storage.dataset.histories import UserHistories
from storage.dataset.reader import TransitionDataset
from storage.dataset.scale import RatingScale, RewardMap
from storage.dataset.writer import write_transitions

DEPTH = 100


def random_ranked(
    seed: int, cases: int = 40, catalogue: int = 150, users: int = 15, most_targets: int = 130
) -> tuple[Ranked, NDArray[np.int64]]:
    """Random answers, and behind each the whole ranking (T, I) that they are an extract of.

    Some users like nothing, some items are targets twice.
    """
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(catalogue), (cases, 1)), axis=1)
    number = rng.integers(1, most_targets + 1, cases)
    number[rng.random(cases) < 0.3] = 1
    again = rng.random(cases) < 0.2
    items = np.concatenate(
        [rng.choice(catalogue, count, replace=bool(twice)) for count, twice in zip(number, again, strict=True)]
    )
    offset = np.concatenate(([0], np.cumsum(number)))
    case = np.repeat(np.arange(cases), number)
    asked = rng.integers(0, users, cases) * 3  # not every user row is asked, and cases of a user are not neighbours
    liked = (rng.random(len(items)) < 0.4) & (asked[case] % 4 != 0)
    ranks = orders.argsort(axis=1)[case, items]
    return Ranked(asked, offset, items, liked, ranks, orders[:, :DEPTH]), orders


def small_dataset(
    path: Path,
    users: int = 60,
    items: int = 120,
    seed: int = 0,
    reward: RewardMap | None = None,
    first_id: int = 1000,
) -> TransitionDataset:
    """Users of 8 to 40 events; low items are popular, the last ten appear after the time cut only; D = 8, F = 3."""
    rng = np.random.default_rng(seed)
    length = rng.integers(8, 41, users)
    events = []
    for count in length:
        weight = 1 / np.arange(5.0, items - 5)
        early = rng.choice(items - 10, count, replace=False, p=weight / weight.sum())
        late = rng.choice(np.arange(items - 10, items), 2, replace=False)
        events.append(np.concatenate((early[:-2], late)))
    histories = UserHistories(
        user_id=np.arange(users) + 100,
        length=length,
        item=np.concatenate(events).astype(np.int32),
        code=rng.integers(1, 11, length.sum()).astype(np.uint8),
        timestamp=np.concatenate([np.r_[np.arange(n - 2), 98, 99] for n in length]),
    )
    write_transitions(
        path,
        [histories],
        user_ids=histories.user_id,
        split=(np.arange(users) % 3).astype(np.uint8),
        movie_ids=np.arange(items) + first_id,
        embeddings=rng.normal(size=(items, 8)).astype(np.float32),
        scale=RatingScale(),
        reward=reward,
        frame=3,
        time_cut=90,
        provenance={},
    )
    return TransitionDataset.open(path)


def partial(name: str, section: Record, charts: Sequence[Chart]) -> str:
    """One section's part of the page."""
    return str(render_partial(f"{name}/template.html.j2", charts, section=section))
