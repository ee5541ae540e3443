"""Full-catalogue ranking with the known items of a user masked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluation.protocols.cases import Cases
from models.histories import Scorer
from models.nearest import ranks_of, top_items
from storage.dataset.reader import TransitionDataset

BATCH = 256
DEPTH = 100


@dataclass(frozen=True)
class Ranked:
    """The rankings of a method, from which every metric is computed.

    Legend of shapes: T cases, M targets, case after case
        users   (T,) int64        user row of each case
        offset  (T + 1,) int64    begin of each case's targets
        items   (M,) int64        targets
        positive (M,) bool        whether the user rated it 4 or more
        ranks   (M,) int64        0-based, among all items that the case does not know
        best    (T, depth) int64  the best items that the case does not know, best first; -1 is no item
    """

    users: NDArray[np.int64]
    offset: NDArray[np.int64]
    items: NDArray[np.int64]
    positive: NDArray[np.bool_]
    ranks: NDArray[np.int64]
    best: NDArray[np.int64]


def rank_cases(dataset: TransitionDataset, scorer: Scorer, cases: Cases, depth: int = DEPTH) -> Ranked:
    """Rank the targets of every case, and list the best `depth` items.

    Ties are broken by item index. A target is always a candidate, even if the user rated it before.

    Raises:
        LearnerError: a score is NaN.
    """
    events, offset = cases.target_events()
    items = dataset.item[events].long()
    ranks = torch.empty_like(items)
    best = torch.empty(len(cases), min(depth, dataset.items), dtype=torch.int64, device=items.device)
    rooms = torch.empty(2, min(BATCH, len(cases)), dataset.items, device=items.device)
    for rows in batches_of_like_length(cases):
        histories = cases.histories(dataset, rows)
        scores, room = rooms[:, : len(rows)]
        scores.copy_(scorer.scores(histories))
        number = offset.diff()[rows]
        places = (offset[rows].unsqueeze(1) + torch.arange(int(number[0]), device=rows.device)).clamp_max(
            len(items) - 1
        )
        there = torch.arange(int(number[0]), device=rows.device) < number.unsqueeze(1)
        targets = items[places].where(there, items[places[:, :1]])
        own = scores.gather(1, targets)
        scores.scatter_(1, histories.items.where(histories.items >= 0, histories.items[:, -1:]), -torch.inf)
        scores.scatter_(1, targets, own)
        found = top_items(scores, depth)
        best[rows] = found.where(scores.gather(1, found) > -torch.inf, -1)
        # The longest lists come first: see `batches_of_like_length`.
        for place, count in enumerate(there.sum(0).tolist()):
            ranks[places[:count, place]] = ranks_of(scores[:count], targets[:count, place], room[:count])
    return Ranked(
        cases.users.cpu().numpy(),
        offset.cpu().numpy(),
        items.cpu().numpy(),
        dataset.liked(events).cpu().numpy(),
        ranks.cpu().numpy(),
        best.cpu().numpy(),
    )


def batches_of_like_length(cases: Cases) -> Iterator[Tensor]:
    """Batches of cases with histories of similar length, to pad little; within a batch, cases with most targets come first."""
    number = cases.targets[:, 1] - cases.targets[:, 0]
    for rows in (cases.known[:, 1] - cases.known[:, 0]).argsort(stable=True).split(BATCH):
        yield rows[number[rows].argsort(descending=True, stable=True)]


def rankings_table(dataset: TransitionDataset, cases: Cases, ranked: Ranked, method: str) -> pa.Table:
    """The rows of rankings.parquet, from which any ranking metric can be recomputed: one per case, with the ids of the source data.

    `step` is the number of known events, `rank` is 0-based and, like `rating`, in the order of `target_movie_ids`.
    """
    events, _ = cases.target_events()
    ratings = dataset.scale.ratings()[dataset.rating_code[events].cpu().numpy()]
    offset = pa.array(ranked.offset, pa.int32())

    def of_case(values: NDArray[Any]) -> pa.Array:
        return pa.ListArray.from_arrays(offset, pa.array(values))

    best = dataset.movie_ids[ranked.best.clip(0)].ravel()
    top = pa.FixedSizeListArray.from_arrays(pa.array(best, mask=ranked.best.ravel() < 0), ranked.best.shape[1])
    return pa.table(
        {
            "method": pa.array([method] * len(cases)).dictionary_encode(),
            "protocol": pa.array([cases.protocol] * len(cases)).dictionary_encode(),
            "split": pa.array([cases.split] * len(cases)).dictionary_encode(),
            "user_id": dataset.user_ids[ranked.users],
            "step": (cases.known[:, 1] - cases.known[:, 0]).cpu().numpy(),
            "target_movie_ids": of_case(dataset.movie_ids[ranked.items]),
            "rating": of_case(ratings.astype(np.float32)),
            "rank": of_case(ranked.ranks),
            "top_movie_ids": top,
        }
    )
