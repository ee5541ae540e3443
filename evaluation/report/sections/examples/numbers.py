"""Some random test users: the items they rated high before, every method's recommendations, and the items they chose later."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.protocols.metrics import COMPARED
from evaluation.record import Record
from evaluation.report.sections.methods.numbers import MethodsSection
from storage.dataset.reader import TransitionDataset

OPEN_LISTS = 3  # policies whose lists are not folded
BEST_RATED, MOST_LAST = 8, 6
LATER = 50  # at most so many events after the next one count as chosen later


class RatedTitle(Record):
    """An item and the rating the user gave it."""

    title: str
    rating: float


class Entry(Record):
    """One recommended item; `chosen` tells whether the user rated it next or later, `rating` how."""

    title: str
    chosen: Literal["next", "later"] | None
    rating: float | None


class RecommendedList(Record):
    """The recommendations of one method; `folded` lists are shown on demand."""

    method: str
    folded: bool
    entries: tuple[Entry, ...]


class Example(Record):
    """One user at one moment of their history."""

    user: str
    known: int  # events before this moment
    liked: tuple[RatedTitle, ...]  # the best rated items of 4 stars or more, the latest first among equals
    last: tuple[RatedTitle, ...]  # the latest items, oldest first
    next: RatedTitle
    later: int  # number of events after the next one that are searched for recommended items
    lists: tuple[RecommendedList, ...]


class ExamplesSection(Record):
    """Test users drawn at random, none selected by hand."""

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
    """Show the first evaluated step of some users.

    Args:
        dataset: whose users they are.
        titles: (I,), with years.
        known: (T, 2) the range of known events of each next-item case; the next event follows it.
        best: by method (T, k or more) recommended items of each case; -1 is no item.
        shown: the methods whose lists are open, in that order; the others follow folded.
        count: of users.
        k: length of the lists.
        seed: of the draw.
    """
    firsts = np.unique(known[:, 0], return_index=True)[1]  # the first case of each user
    rows = np.random.default_rng(seed).permutation(firsts)[:count]
    order = [*shown, *(name for name in best if name not in shown)]
    examples = []
    for row in rows.tolist():
        begin, target = known[row].tolist()
        user = int(dataset.users_of(dataset.offset.new_tensor([target]))[0])
        end = min(int(dataset.offset[user + 1]), target + 1 + LATER)
        after = {int(dataset.item[event]): dataset.rating(event) for event in range(end - 1, target, -1)}
        next_item = int(dataset.item[target])
        chosen: dict[int, Literal["next", "later"]] = dict.fromkeys(after, "later")
        chosen[next_item] = "next"
        ratings = after | {next_item: dataset.rating(target)}
        examples.append(
            Example(
                user=str(dataset.user_ids[user]),
                known=target - begin,
                liked=tuple(rated(dataset, titles, event) for event in best_rated(dataset, begin, target)),
                last=tuple(rated(dataset, titles, event) for event in range(max(begin, target - MOST_LAST), target)),
                next=rated(dataset, titles, target),
                later=end - target - 1,
                lists=tuple(
                    RecommendedList(
                        method=name,
                        folded=name not in shown,
                        entries=tuple(
                            Entry(title=titles[item], chosen=chosen.get(item), rating=ratings.get(item))
                            for item in best[name][row, :k].tolist()
                            if item >= 0
                        ),
                    )
                    for name in order
                ),
            )
        )
    return ExamplesSection(k=k, examples=tuple(examples))


def rated(dataset: TransitionDataset, titles: Sequence[str], event: int) -> RatedTitle:
    """The title and the rating of an event."""
    return RatedTitle(title=titles[int(dataset.item[event])], rating=dataset.rating(event))


def best_rated(dataset: TransitionDataset, begin: int, end: int) -> list[int]:
    """The events from `begin` to `end` with the best ratings of 4 or more, the latest first among equals."""
    events = [event for event in range(begin, end) if dataset.rating_code[event] >= dataset.scale.liked_code]
    return sorted(events, key=lambda event: (-dataset.rating(event), -event))[:BEST_RATED]


def open_methods(methods: MethodsSection) -> list[str]:
    """The methods whose lists are open: the champion, the best policies and the two best baselines on test users."""
    results = sorted(methods.of("test", "next-item"), key=lambda one: -one.value(COMPARED["next-item"][0]))
    champion = [one.name for one in results if one.kind == "champion"]
    first = [*champion, *(one.name for one in results if one.kind == "policy")][:OPEN_LISTS]
    return [*first, *[one.name for one in results if one.kind == "baseline"][:2]]
