"""How much later events differ from the events of a dataset: the population stability index (PSI)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import chi2

from evaluation.record import Record

CONFIDENCE = 0.95
GROUPS = 10  # of items by popularity
MOST_PER_DAY = 10  # the last bin of activity: more than 2^9 events
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Events:
    """Events as columns.

    Legend of shapes: E events
        user_ids    (E,) int64  ids of the source
        movie_ids   (E,) int64  ids of the source
        codes       (E,) uint8  ratings as their place on the scale
        timestamps  (E,) int64  seconds since 1970, UTC
    """

    user_ids: NDArray[np.int64]
    movie_ids: NDArray[np.int64]
    codes: NDArray[np.uint8]
    timestamps: NDArray[np.int64]


class Stability(Record):
    """One property of later events, compared with the base."""

    measure: str
    bins: int = Field(description="Groups that the events are counted in.")
    base_events: int = Field(description="Number of things counted in the base.")
    later_events: int = Field(description="Number of things counted in later events.")
    psi: float = Field(description="Population stability index; 0 if the shares of the bins are equal.")
    by_chance: float = Field(
        description="PSI that two samples of these sizes from one population exceed in 5 % of cases."
    )
    note: str = ""


def population_stability_index(base: Counts, later: Counts) -> float:
    """PSI = Σ (p - q) ln(p / q) over bins, p and q being the shares of later things and of the base (Siddiqi 2006, §10).

    Half a thing is added to each bin of both, so that an empty bin does not make it infinite.

    Args:
        base: (B,) number of things in each bin.
        later: (B,) of the same bins.
    """
    q, p = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (base, later))
    return float(np.sum((p - q) * np.log(p / q)))


def psi_by_chance(bins: int, base: int, later: int) -> float:
    """The PSI that two independent samples of one population stay below in 95 % of cases (Yurdakul & Naranjo 2020).

    Args:
        bins: B; the PSI is distributed like χ² with B - 1 degrees of freedom, times 1 / base + 1 / later.
        base: number of things in the base.
        later: number of later things.
    """
    return float(chi2.ppf(CONFIDENCE, bins - 1) * (1 / max(base, 1) + 1 / max(later, 1))) if bins > 1 else 0.0


def measure_stability(base: Events, later: Events, ratings: int) -> list[Stability]:
    """Compare later events with the base by their ratings, the popularity of their items, and the activity of users.

    Args:
        base: all events of a dataset.
        later: events that are not in it.
        ratings: number of codes that ratings can have, with the unused code 0.
    """
    in_base, of_later = (np.bincount(events.codes, minlength=ratings) for events in (base, later))
    found = [stability_of("ratings", in_base, of_later)]
    in_base, of_later, unknown = by_popularity(base.movie_ids, later.movie_ids)
    share = 100 * unknown / max(len(later.movie_ids), 1)
    note = f"{share:.1f} % of the later events are of items without events in the base; they are not counted."
    found.append(stability_of("catalogue", in_base, of_later, note))
    found.append(stability_of("activity", by_activity(base), by_activity(later)))
    return found


def stability_of(measure: str, base: Counts, later: Counts, note: str = "") -> Stability:
    """One measure from the counts (B,) of its bins; bins that are empty in both are left out."""
    used = (base + later) > 0
    base, later = base[used], later[used]
    return Stability(
        measure=measure,
        bins=len(base),
        base_events=int(base.sum()),
        later_events=int(later.sum()),
        psi=population_stability_index(base, later) if later.any() else 0.0,
        by_chance=psi_by_chance(len(base), int(base.sum()), int(later.sum())),
        note=note,
    )


def by_popularity(base: NDArray[np.int64], later: NDArray[np.int64]) -> tuple[Counts, Counts, int]:
    """Count events in groups of items, from the most popular to the least, that each have about a tenth of the base's events.

    Args:
        base: (E,) the item of each event of the base.
        later: the item of each later event.

    Returns:
        Both counts per group, and how many later events are of items without events in the base.
    """
    items, events = np.unique(base, return_counts=True)
    order = np.argsort(-events, kind="stable")
    before = np.cumsum(events[order]) - events[order]
    group = np.empty(len(items), np.int64)
    group[order] = before * GROUPS // max(len(base), 1)
    place = np.searchsorted(items, later).clip(max=max(len(items) - 1, 0))
    known = items[place] == later if len(items) else np.zeros(len(later), bool)
    counts = np.bincount(group, events, GROUPS).astype(np.int64)
    return counts, np.bincount(group[place[known]], minlength=GROUPS), int((~known).sum())


def by_activity(events: Events) -> Counts:
    """Count pairs of user and day (UTC) by the number of their events: 1, 2, 3-4, 5-8, … and more than 512."""
    days = np.stack((events.user_ids, events.timestamps // 86_400), axis=1)
    order = np.lexsort(days.T)
    begins = np.flatnonzero(np.r_[True, (np.diff(days[order], axis=0) != 0).any(axis=1)][: len(days)])
    per_day = np.diff(begins, append=len(days))
    bins = np.ceil(np.log2(per_day)).astype(np.int64).clip(max=MOST_PER_DAY)
    return np.bincount(bins, minlength=MOST_PER_DAY + 1)
