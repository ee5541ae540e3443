"""The report's section on popularity bias: which items methods show, to whom, and how items nobody rated yet fare."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import Field

from evaluation.protocols.beyond_accuracy import GROUPS, ItemFacts
from evaluation.protocols.cases import Cases, Protocol
from evaluation.protocols.metrics import PerUser, accuracy_per_user, intervals, mean_by_user, means
from evaluation.protocols.names import asked
from evaluation.protocols.ranking import Ranked
from evaluation.report import figures
from evaluation.report.page import Chart
from evaluation.report.sections.methods import Kind, dashed, finite
from evaluation.report.sections.section import Section
from storage.dataset.format import Split
from storage.dataset.reader import TransitionDataset

USER_GROUPS = ("niche", "mixed", "blockbuster")
COLD_KS = (10, 50, 100)
SHARES = ("recommended", "low", "high", "rated")  # of head items, drawn by kind of user
GROUP_COLOURS = ("#3b6fb6", "#8fb3e0", "#d1a54a", "#a3a9b0")  # head, middle, tail, cold
Shares = dict[str, float | None]


class ItemGroup(Section):
    """Items of like popularity among training events."""

    name: str
    items: int
    training: float | None = Field(description="Share of the training events.")
    sought: float | None = Field(description="Share of what a case seeks, mean over users.")
    users: int | None = Field(None, description="Users who seek such an item: those whom `found` is a mean over.")


class UserGroup(Section):
    """A third of the users, by how popular their history is."""

    name: str
    users: int
    popularity: float = Field(description="Training events of an item of their histories, on average.")
    head: float = Field(description="Share of head items in their histories.")


class MethodPopularity(Section):
    """What one method shows, to whom: means over users of each user's mean over cases."""

    name: str
    kind: Kind
    popularity: float | None = Field(description="Training events of a recommended item.")
    shown: Shares = Field(description="By item group: share of the first k places.")
    found: Shares = Field(
        description="By item group: share of a case's sought items of it that are within the first k."
    )
    head: Shares = Field(description="By user group: share of head items in their recommendations.")
    lift: Shares = Field(
        description="By user group: popularity of what they are shown over that of their history, less 1; users whose "
        "histories have no training event have none."
    )
    ndcg: Shares = Field(description="By user group: NDCG@k.")
    cold_recall: Shares = Field(description="By k: share of a case's sought cold items that are within the first k.")
    cold_rank: float | None = Field(description="Place of the sought cold items: 0 first, 1 last, 0.5 by chance.")
    intervals: dict[str, tuple[float, float]] = Field(
        {}, description="95 % bootstrap intervals over users, by field and key, such as `found cold`, or `cold_rank`."
    )


class PopularityView(Section):
    """All methods on the same cases."""

    split: Split
    protocol: Protocol
    k: int
    items: tuple[ItemGroup, ...]
    users: tuple[UserGroup, ...]
    cold_sought: int = Field(description="Sought items that no training event has.")
    cold_cases: int = Field(description="Cases that seek one.")
    cold_users: int | None = Field(None, description="Users who seek one: those whom numbers of cold items are of.")
    cases: int
    methods: tuple[MethodPopularity, ...]

    @property
    def id(self) -> str:
        """For places on the page."""
        return f"{self.split}-{self.protocol}"


class PopularitySection(Section):
    """A view per split and protocol that was asked for."""

    views: tuple[PopularityView, ...]


@dataclass(frozen=True)
class Readers:
    """The users of some cases, by what their known histories are like.

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


def readers_of(dataset: TransitionDataset, items: ItemFacts, cases: Cases) -> Readers:
    """Sort users into thirds by the popularity of what they had rated, averaged over their cases."""
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
    return Readers(found.users, popularity, found.column("head"), group, number)


def measure_popularity(
    dataset: TransitionDataset,
    items: ItemFacts,
    cases: Cases,
    readers: Readers,
    methods: Sequence[MethodPopularity],
    k: int = 10,
) -> PopularityView:
    """How popular what methods recommend is, beside what users had rated and what they rated afterwards.

    Args:
        dataset: of the cases.
        items: of the dataset.
        cases: what was asked.
        readers: of the cases.
        methods: what each one shows in these cases.
        k: length of the lists looked at.
    """
    events, offset = cases.sought_events()
    sought = items.group[dataset.item[events].cpu().numpy()]
    number = np.diff(offset.cpu().numpy())
    case = np.repeat(np.arange(len(cases)), number)
    counts = {name: np.bincount(case[sought == place], minlength=len(cases)) for place, name in enumerate(GROUPS)}
    shares = means(mean_by_user(cases.users.cpu().numpy(), {name: count / number for name, count in counts.items()}))
    users = {name: len(cases.users[torch.from_numpy(count > 0)].unique()) for name, count in counts.items()}
    training = np.bincount(items.group, weights=items.events, minlength=len(GROUPS)) / max(int(items.events.sum()), 1)
    members = [(name, readers.group == place) for place, name in enumerate(USER_GROUPS)]
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
                popularity=float(readers.popularity[chosen].mean()),
                head=float(readers.head[chosen].mean()),
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
    items: ItemFacts, readers: Readers, ranked: Ranked, *, name: str, kind: Kind, k: int = 10, seed: int = 0
) -> MethodPopularity:
    """How popular what one method recommends is, how it finds items of each popularity, and whom it serves.

    Args:
        items: of the dataset the cases are from.
        readers: of the cases.
        ranked: of the cases.
        name: of the method.
        kind: of the method.
        k: length of the lists looked at.
        seed: of the bootstrap.
    """
    lists = mean_by_user(ranked.users, _of_lists(items, ranked.best[:, :k]) | _of_sought(items, readers, ranked, k))
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = np.where(readers.popularity > 0, lists.column("popularity") / readers.popularity - 1, np.nan)
    ndcg = accuracy_per_user(ranked, (k,)).column(f"ndcg@{k}")
    by_group = {
        f"{field} {group}": np.where(readers.group == place, values, np.nan)
        for field, values in (("head", lists.column("head")), ("lift", lift), ("ndcg", ndcg))
        for place, group in enumerate(USER_GROUPS)
        if (readers.group == place).any()
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
        head={key: value for key, value in fields["head"].items() if key},  # without all users' mean
        lift=fields["lift"],
        ndcg=fields["ndcg"],
        cold_recall=fields["cold_recall"],
        cold_rank=mean["cold_rank"],
        intervals=intervals(values, seed),
    )


def _of_lists(items: ItemFacts, best: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Columns (T,) of lists (T, k): how popular what they show is; NaN of an empty list."""
    number = (best >= 0).sum(axis=1)
    there = np.where(number > 0, number, np.nan)
    events, group = np.append(items.events, 0)[best], np.append(items.group, -1)[best]
    shown = {f"shown {name}": (group == place).sum(axis=1) / there for place, name in enumerate(GROUPS)}
    return {"popularity": events.sum(axis=1) / there, "head": shown["shown head"]} | shown


def _of_sought(items: ItemFacts, readers: Readers, ranked: Ranked, k: int) -> dict[str, NDArray[np.float64]]:
    """Columns (T,) of what cases seek: how much of each item group is found; NaN of a case that seeks none of it."""
    case = np.repeat(np.arange(len(ranked.users)), np.diff(ranked.offset))
    group = items.group[ranked.items]
    last = np.maximum(len(items.events) - readers.known - 1, 1)[case]

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


def charts(section: PopularitySection) -> list[Chart]:
    """Of every view: what is shown, to whom, and how well that serves them."""
    found: list[Chart] = []
    for view in section.views:
        where = asked(view.split, view.protocol)
        note = f"Shares of head, middle, tail and cold items among the first {view.k}, beside what users rated before and next."
        found.append((f"popularity-shown-{view.id}", f"What is shown ({where})", note, _shown(view)))
        note = "Ticks: what share of their own histories head items were; dots: of their recommendations, with the 95 % interval."
        found.append((f"popularity-head-{view.id}", f"Head items, by kind of user ({where})", note, _head(view)))
        note = "Whom the methods serve: each third of the users by itself; intervals on hovering. Baselines grey."
        found.append((f"popularity-ndcg-{view.id}", f"NDCG@{view.k}, by kind of user ({where})", note, _served(view)))
        if view.cold_sought:
            note = (
                f"Means over the {view.cold_users} users who seek an item without training events, with 95 % intervals. "
                "Mean place: 0 first, 1 last, 0.5 by chance."
            )
            found.append((f"popularity-cold-{view.id}", f"Items nobody had rated ({where})", note, _cold(view)))
    return found


def _shown(view: PopularityView) -> figures.Spec:
    named = [(one.name, one.shown) for one in view.methods]
    named = [
        ("training events", {group.name: group.training for group in view.items}),
        ("rated afterwards", {group.name: group.sought for group in view.items}),
        *named,
    ]
    rows = [
        {"of": name, "group": group, "share": share, "order": GROUPS.index(group)}
        for name, shares in named
        for group, share in shares.items()
    ]
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar(height={"band": 0.75})
        .encode(
            y=alt.Y("of:N", title=None, sort=[name for name, _ in named]),
            x=alt.X("share:Q", title="share", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            color=alt.Color(
                "group:N",
                sort=list(GROUPS),
                scale=alt.Scale(domain=list(GROUPS), range=list(GROUP_COLOURS)),
                title="items",
            ),
            order="order:Q",
            tooltip=["of:N", "group:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=420, height=alt.Step(20))
    )
    return figures.finished(chart)


def _head(view: PopularityView) -> figures.Spec:
    own = {group.name: group.head for group in view.users}
    rows = [
        {"method": one.name, "users": group, "recommended": share, "rated": own[group]}
        | figures.ends(one.intervals, f"head {group}")
        for one in view.methods
        for group, share in one.head.items()
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        y=alt.Y("method:N", title=None, sort=[one.name for one in view.methods])
    )
    format_share = alt.Axis(format="%", tickCount=4)
    dot = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("recommended:Q", title="share of head items", axis=format_share),
        color=alt.Color("method:N", scale=_scale(view), legend=None),
        tooltip=["method:N", "users:N", *(alt.Tooltip(f"{name}:Q", format=".1%") for name in SHARES)],
    )
    whisker = base.mark_rule(strokeWidth=1.4).encode(x="low:Q", x2="high:Q")
    line = base.mark_tick(thickness=2, color="#808890", height=16).encode(x="rated:Q")
    chart = (line + whisker + dot).properties(width=190, height=alt.Step(20))
    return figures.finished(chart.facet(facet=alt.Facet("users:N", sort=list(own), title=None), columns=3))


def _served(view: PopularityView) -> figures.Spec:
    order = [group.name for group in view.users]
    rows = [
        {"method": one.name, "users": group, "ndcg": value} | figures.ends(one.intervals, f"ndcg {group}")
        for one in view.methods
        for group, value in one.ndcg.items()
        if value is not None
    ]
    chart = (
        alt.Chart(pd.DataFrame(rows, columns=["method", "users", "ndcg", "low", "high"]))
        .mark_line(point={"size": 40}, strokeWidth=1.8)
        .encode(
            x=alt.X("users:N", sort=order, title="users, by their histories", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("ndcg:Q", title=f"NDCG@{view.k}"),
            color=alt.Color("method:N", scale=_scale(view), title="method"),
            strokeDash=alt.StrokeDash("method:N", scale=dashed(_scale(view)), title="method"),
            tooltip=[
                "method:N",
                "users:N",
                *(alt.Tooltip(f"{name}:Q", format=".4f") for name in ("ndcg", "low", "high")),
            ],
        )
        .properties(width=330, height=230)
    )
    return figures.finished(chart)


def _cold(view: PopularityView) -> figures.Spec:
    titles = {f"cold_recall recall@{k}": f"Recall@{k}" for k in COLD_KS} | {"cold_rank": "mean place"}
    rows = [
        {"method": one.name, "baseline": one.kind == "baseline", "metric": titles[column], "value": value}
        | figures.ends(one.intervals, column)
        for one in view.methods
        for column, value in (
            *((f"cold_recall {name}", value) for name, value in one.cold_recall.items()),
            ("cold_rank", one.cold_rank),
        )
    ]
    return figures.bars(pd.DataFrame(rows), list(titles.values()))


def _scale(view: PopularityView) -> alt.Scale:
    policies = [one.name for one in view.methods if one.kind != "baseline"]
    return figures.method_scale(policies, [one.name for one in view.methods if one.kind == "baseline"])
