"""Popularity bias: how popular the recommended items are, for which users, and how well items without training events rank."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from evaluation.protocols.beyond_accuracy import GROUPS, ItemFacts
from evaluation.protocols.cases import Cases, Protocol
from evaluation.protocols.metrics import accuracy_per_user
from evaluation.protocols.per_user import PerUser, finite, intervals, mean_by_user, means
from evaluation.protocols.ranking import Ranked
from evaluation.record import Record
from evaluation.report.sections.methods.numbers import Kind
from storage.dataset.format import Split
from storage.dataset.reader import TransitionDataset

USER_GROUPS = ("niche", "mixed", "blockbuster")
COLD_KS = (10, 50, 100)
Shares = dict[str, float | None]


class ItemGroup(Record):
    """Items of similar popularity in the training events."""

    name: str
    items: int
    training: float | None = Field(description="Share of the training events.")
    sought: float | None = Field(description="Share of a case's targets, mean over users.")
    users: int | None = Field(None, description="Users with such a target, over whom `found` is a mean.")


class UserGroup(Record):
    """A third of the users, by the popularity of their histories."""

    name: str
    users: int
    popularity: float = Field(description="Training events of an item of their histories, on average.")
    head: float = Field(description="Share of head items in their histories.")


class MethodPopularity(Record):
    """The popularity bias of one method: means over users of each user's mean over cases."""

    name: str
    kind: Kind
    popularity: float | None = Field(description="Training events of a recommended item.")
    shown: Shares = Field(description="By item group: share of the first k places.")
    found: Shares = Field(description="By item group: share of a case's targets of it that are within the first k.")
    head: Shares = Field(description="By user group: share of head items in their recommendations.")
    lift: Shares = Field(
        description="By user group: popularity of the recommended items divided by that of the history, minus 1; users whose "
        "histories have no training event are left out."
    )
    ndcg: Shares = Field(description="By user group: NDCG@k.")
    cold_recall: Shares = Field(description="By k: share of a case's cold targets that are within the first k.")
    cold_rank: float | None = Field(description="Relative rank of the cold targets: 0 first, 1 last, 0.5 by chance.")
    intervals: dict[str, tuple[float, float]] = Field(
        {}, description="95 % bootstrap intervals over users, by field and key, such as `found cold`, or `cold_rank`."
    )


class PopularityView(Record):
    """All methods on the same cases."""

    split: Split
    protocol: Protocol
    k: int
    items: tuple[ItemGroup, ...]
    users: tuple[UserGroup, ...]
    cold_sought: int = Field(description="Targets without training events.")
    cold_cases: int = Field(description="Cases with such a target.")
    cold_users: int | None = Field(
        None, description="Users with such a target, over whom numbers of cold items are means."
    )
    cases: int
    methods: tuple[MethodPopularity, ...]

    @property
    def id(self) -> str:
        """Of this view in the page's ids."""
        return f"{self.split}-{self.protocol}"


class PopularitySection(Record):
    """A view per split and protocol."""

    views: tuple[PopularityView, ...]


@dataclass(frozen=True)
class Audience:
    """The users of a set of cases, by the popularity of their known histories.

    Legend of shapes: U users, T cases
        users       (U,) int64    user rows, ascending
        popularity  (U,) float64  mean training events of a history's items
        head        (U,) float64  share of head items in it
        group       (U,) int64    place in USER_GROUPS
        known       (T,) int64    how many events each case knows
    """

    users: NDArray[np.int64]
    popularity: NDArray[np.float64]
    head: NDArray[np.float64]
    group: NDArray[np.int64]
    known: NDArray[np.int64]


def audience_of(dataset: TransitionDataset, items: ItemFacts, cases: Cases) -> Audience:
    """Group users into thirds by the popularity of the items they had rated, averaged over their cases."""
    events = dataset.item if cases.events is None else dataset.item[cases.events]
    item, known = events.cpu().numpy(), cases.known.cpu().numpy()
    number = known[:, 1] - known[:, 0]

    def mean(of_item: NDArray[np.int64]) -> NDArray[np.float64]:
        before = np.concatenate(([0], np.cumsum(of_item[item])))
        return np.asarray((before[known[:, 1]] - before[known[:, 0]]) / np.maximum(number, 1))

    columns = {"popularity": mean(items.events), "head": mean((items.group == 0).astype(np.int64))}
    found = mean_by_user(cases.users.cpu().numpy(), columns)
    popularity = found.column("popularity")
    group = np.empty(len(popularity), dtype=np.int64)
    group[np.argsort(popularity, kind="stable")] = np.arange(len(group)) * len(USER_GROUPS) // max(len(group), 1)
    return Audience(found.users, popularity, found.column("head"), group, number)


def measure_popularity(
    dataset: TransitionDataset,
    items: ItemFacts,
    cases: Cases,
    audience: Audience,
    methods: Sequence[MethodPopularity],
    k: int = 10,
) -> PopularityView:
    """Collect the popularity bias of all methods on the same cases, with the popularity of what users rated before and after.

    Args:
        dataset: of the cases.
        items: of the dataset.
        cases: that the methods ranked.
        audience: of the cases.
        methods: the popularity bias of each on these cases.
        k: length of the lists.
    """
    events, offset = cases.target_events()
    target_group = items.group[dataset.item[events].cpu().numpy()]
    number = np.diff(offset.cpu().numpy())
    case = np.repeat(np.arange(len(cases)), number)
    counts = {name: np.bincount(case[target_group == place], minlength=len(cases)) for place, name in enumerate(GROUPS)}
    shares = means(mean_by_user(cases.users.cpu().numpy(), {name: count / number for name, count in counts.items()}))
    users = {name: len(cases.users[torch.from_numpy(count > 0)].unique()) for name, count in counts.items()}
    training = np.bincount(items.group, weights=items.events, minlength=len(GROUPS)) / max(int(items.events.sum()), 1)
    members = [(name, audience.group == place) for place, name in enumerate(USER_GROUPS)]
    return PopularityView(
        split=cases.split,
        protocol=cases.protocol,
        k=k,
        items=tuple(
            ItemGroup(
                name=name,
                items=int((items.group == place).sum()),
                training=float(training[place]),
                sought=finite(shares[name]),
                users=users[name],
            )
            for place, name in enumerate(GROUPS)
        ),
        users=tuple(
            UserGroup(
                name=name,
                users=int(chosen.sum()),
                popularity=float(audience.popularity[chosen].mean()),
                head=float(audience.head[chosen].mean()),
            )
            for name, chosen in members
            if chosen.any()
        ),
        cold_sought=int(counts["cold"].sum()),
        cold_cases=int((counts["cold"] > 0).sum()),
        cold_users=users["cold"],
        cases=len(cases),
        methods=tuple(methods),
    )


def method_popularity(
    items: ItemFacts, audience: Audience, ranked: Ranked, name: str, kind: Kind, k: int = 10, seed: int = 0
) -> MethodPopularity:
    """Measure the popularity bias of one method: the items it recommends, the items it finds, by item and user group.

    Args:
        items: of the dataset of the cases.
        audience: of the cases.
        ranked: the method's rankings of the cases.
        name: of the method.
        kind: of the method.
        k: length of the lists.
        seed: of the bootstrap.
    """
    lists = mean_by_user(ranked.users, _of_lists(items, ranked.best[:, :k]) | _of_targets(items, audience, ranked, k))
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = np.where(audience.popularity > 0, lists.column("popularity") / audience.popularity - 1, np.nan)
    ndcg = accuracy_per_user(ranked, (k,)).column(f"ndcg@{k}")
    by_group = {
        f"{field} {group}": np.where(audience.group == place, values, np.nan)
        for field, values in (("head", lists.column("head")), ("lift", lift), ("ndcg", ndcg))
        for place, group in enumerate(USER_GROUPS)
        if (audience.group == place).any()
    }
    values = lists.beside(PerUser(lists.users, tuple(by_group), np.column_stack([*by_group.values()])))
    mean = {column: finite(value) for column, value in means(values).items()}
    fields: dict[str, Shares] = {}
    for column, value in mean.items():
        field, _, key = column.partition(" ")
        fields.setdefault(field, {})[key] = value
    return MethodPopularity(
        name=name,
        kind=kind,
        popularity=mean["popularity"],
        shown=fields["shown"],
        found=fields["found"],
        head={key: value for key, value in fields["head"].items() if key},  # without the mean over all users
        lift=fields["lift"],
        ndcg=fields["ndcg"],
        cold_recall=fields["cold_recall"],
        cold_rank=mean["cold_rank"],
        intervals=intervals(values, seed),
    )


def _of_lists(items: ItemFacts, best: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Columns (T,) of the popularity of lists (T, k); NaN for an empty list."""
    number = (best >= 0).sum(axis=1)
    there = np.where(number > 0, number, np.nan)
    events, group = np.append(items.events, 0)[best], np.append(items.group, -1)[best]
    shown = {f"shown {name}": (group == place).sum(axis=1) / there for place, name in enumerate(GROUPS)}
    return {"popularity": events.sum(axis=1) / there, "head": shown["shown head"]} | shown


def _of_targets(items: ItemFacts, audience: Audience, ranked: Ranked, k: int) -> dict[str, NDArray[np.float64]]:
    """Columns (T,) of the share of the targets of each item group that are found; NaN for a case without targets of the group."""
    case = np.repeat(np.arange(len(ranked.users)), np.diff(ranked.offset))
    group = items.group[ranked.items]
    last = np.maximum(len(items.events) - audience.known - 1, 1)[case]

    def mean(chosen: NDArray[np.bool_], values: NDArray[Any]) -> NDArray[np.float64]:
        number = np.bincount(case[chosen], minlength=len(ranked.users))
        total = np.bincount(case[chosen], values[chosen], len(ranked.users))
        return np.asarray(total / np.where(number > 0, number, np.nan))

    cold = group == GROUPS.index("cold")
    return (
        {f"found {name}": mean(group == place, ranked.ranks < k) for place, name in enumerate(GROUPS)}
        | {f"cold_recall recall@{at}": mean(cold, ranked.ranks < at) for at in COLD_KS}
        | {"cold_rank": mean(cold, np.minimum(ranked.ranks / last, 1.0))}
    )
