"""Some test users, drawn at random: what they had liked, what every method recommends, what they chose afterwards."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.cases import LIKED_REWARD
from evaluation.report.page import Chart
from evaluation.report.sections.section import Section
from storage.dataset.reader import TransitionDataset

MOST_LIKED, MOST_LAST = 8, 6
LATER = 50  # events after the next one that count as chosen later


class Rated(Section):
    """An item and the rating the user gave it."""

    title: str
    rating: float


class Entry(Section):
    """One recommended item; `chosen` says whether it is the very next one, or one the user rated later, and how."""

    title: str
    chosen: Literal["next", "later"] | None
    rating: float | None


class RecommendedList(Section):
    """What one method recommends; `folded` lists are shown on demand."""

    method: str
    folded: bool
    entries: tuple[Entry, ...]


class Example(Section):
    """One user at one moment of their history."""

    user: str
    known: int  # events before this moment
    liked: tuple[Rated, ...]  # the best rated ones, the latest first among equals
    last: tuple[Rated, ...]  # the latest ones, oldest first
    next: Rated
    later: int  # events after the next one that are looked at
    lists: tuple[RecommendedList, ...]


class ExamplesSection(Section):
    """Test users drawn at random, none picked by hand."""

    k: int
    examples: tuple[Example, ...]


def measure_examples(
    dataset: TransitionDataset,
    titles: Sequence[str],
    known: NDArray[np.int64],
    best: Mapping[str, NDArray[np.int64]],
    shown: Sequence[str],
    count: int,
    k: int,
    seed: int,
) -> ExamplesSection:
    """The first judged step of some users.

    Args:
        dataset: whose users they are.
        titles: (I,), with years.
        known: (T, 2) of each next-item case the range of events known; the next one follows it.
        best: by method (T, k or more) recommended items of each case; -1 is no item.
        shown: the methods whose lists are open, in that order; the others follow, folded.
        count: of users.
        k: length of the lists.
        seed: of the draw.
    """
    firsts = np.unique(known[:, 0], return_index=True)[1]  # a history begins once per user
    rows = np.random.default_rng(seed).permutation(firsts)[:count]
    order = [*shown, *(name for name in best if name not in shown)]
    examples = []
    for row in rows.tolist():
        begin, target = known[row].tolist()
        user = int(dataset.users_of(dataset.offset.new_tensor([target]))[0])
        end = min(int(dataset.offset[user + 1]), target + 1 + LATER)
        after = {int(dataset.item[event]): dataset.rating(event) for event in range(end - 1, target, -1)}
        next_item = int(dataset.item[target])

        def entry(
            item: int, next_item: int = next_item, after: dict[int, float] = after, target: int = target
        ) -> Entry:
            if item == next_item:
                return Entry(title=titles[item], chosen="next", rating=dataset.rating(target))
            return Entry(title=titles[item], chosen="later" if item in after else None, rating=after.get(item))

        examples.append(
            Example(
                user=str(dataset.user_ids[user]),
                known=target - begin,
                liked=tuple(rated(dataset, titles, event) for event in most_liked(dataset, begin, target)),
                last=tuple(rated(dataset, titles, event) for event in range(max(begin, target - MOST_LAST), target)),
                next=rated(dataset, titles, target),
                later=end - target - 1,
                lists=tuple(
                    RecommendedList(
                        method=name,
                        folded=name not in shown,
                        entries=tuple(entry(int(item)) for item in best[name][row, :k] if item >= 0),
                    )
                    for name in order
                ),
            )
        )
    return ExamplesSection(k=k, examples=tuple(examples))


def rated(dataset: TransitionDataset, titles: Sequence[str], event: int) -> Rated:
    """One event, for people."""
    return Rated(title=titles[int(dataset.item[event])], rating=dataset.rating(event))


def most_liked(dataset: TransitionDataset, begin: int, end: int) -> list[int]:
    """The events from `begin` to `end` with the best ratings of 4 stars or more, the latest first among equals."""
    rewards = dataset.reward_of_code[dataset.rating_code[begin:end].int()]
    events = [begin + place for place, reward in enumerate(rewards.tolist()) if reward >= LIKED_REWARD]
    return sorted(events, key=lambda event: (-dataset.rating(event), -event))[:MOST_LIKED]


def charts(section: ExamplesSection) -> list[Chart]:
    """None: this part is read."""
    del section
    return []
