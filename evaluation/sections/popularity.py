"""The report's section on popularity bias: which items methods show, to whom, and how items nobody rated yet fare."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from evaluation import figures
from evaluation.beyond_accuracy import GROUPS, ItemFacts, exposure
from evaluation.cases import Cases, Protocol
from evaluation.metrics import accuracy_per_user, mean_by_user
from evaluation.page import Chart
from evaluation.ranking import Ranked
from evaluation.sections.methods import SPLITS, Kind, dashed, finite
from evaluation.sections.section import Section
from storage.transitions import TransitionDataset
from storage.transitions_format import Split

USER_GROUPS = ("niche", "mixed", "blockbuster")
COLD_KS = (10, 50, 100)
GROUP_COLOURS = ("#3b6fb6", "#8fb3e0", "#d1a54a", "#a3a9b0")  # head, middle, tail, cold
Shares = dict[str, float | None]


class ItemGroup(Section):
    """Items of like popularity among training events."""

    name: str
    items: int
    training: float | None = Field(description="Share of the training events.")
    sought: float | None = Field(description="Share of the items that the cases seek.")


class UserGroup(Section):
    """A third of the users, by how popular their history is."""

    name: str
    users: int
    popularity: float = Field(description="Training events of an item of their histories, on average.")
    head: float = Field(description="Share of head items in their histories.")


class MethodPopularity(Section):
    """What one method shows, to whom."""

    name: str
    kind: Kind
    popularity: float | None = Field(description="Training events of a recommended item, on average.")
    shown: Shares = Field(description="By item group: share of all recommended places.")
    found: Shares = Field(description="By item group: share of its sought items that are within the first k.")
    head: Shares = Field(description="By user group: share of head items in their recommendations.")
    lift: Shares = Field(
        description="By user group: popularity of what they are shown over that of their history, less 1."
    )
    ndcg: Shares = Field(description="By user group: NDCG@k.")
    cold_recall: Shares = Field(description="By k: share of the sought cold items within the first k.")
    cold_rank: float | None = Field(description="Mean place of the sought cold items: 0 first, 1 last, 0.5 by chance.")


class PopularityView(Section):
    """All methods on the same cases."""

    split: Split
    protocol: Protocol
    k: int
    items: tuple[ItemGroup, ...]
    users: tuple[UserGroup, ...]
    cold_sought: int = Field(description="Sought items that no training event has.")
    cold_cases: int = Field(description="Cases that seek one.")
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
    rankings: Mapping[str, Ranked],
    kinds: Mapping[str, Kind],
    k: int = 10,
) -> PopularityView:
    """How popular what methods recommend is, beside what users had rated and what they rated next.

    Args:
        dataset: of the cases.
        items: of the dataset.
        cases: what was asked.
        rankings: every method's answers to these cases.
        kinds: of the same methods.
        k: length of the lists looked at.
    """
    readers = readers_of(dataset, items, cases)
    events, offset = cases.sought_events()
    sought = items.group[dataset.item[events].cpu().numpy()]
    cold = sought == GROUPS.index("cold")
    case = np.repeat(np.arange(len(cases)), np.diff(offset.cpu().numpy()))
    of_group = np.bincount(items.group, weights=items.events, minlength=len(GROUPS))
    groups = zip(
        GROUPS,
        np.bincount(items.group, minlength=len(GROUPS)).tolist(),
        _shares(of_group).values(),
        _shares(np.bincount(sought, minlength=len(GROUPS))).values(),
        strict=True,
    )
    members = [(place, name, readers.group == place) for place, name in enumerate(USER_GROUPS)]
    return PopularityView(
        split=cases.split,
        protocol=cases.protocol,
        k=k,
        items=tuple(
            ItemGroup(name=name, items=number, training=training, sought=share)
            for name, number, training, share in groups
        ),
        users=tuple(
            UserGroup(
                name=name,
                users=int(chosen.sum()),
                popularity=float(readers.popularity[chosen].mean()),
                head=float(readers.head[chosen].mean()),
            )
            for _, name, chosen in members
            if chosen.any()
        ),
        cold_sought=int(cold.sum()),
        cold_cases=len(np.unique(case[cold])),
        cases=len(cases),
        methods=tuple(
            _of_method(name, kinds[name], ranked, items, readers, case, k) for name, ranked in rankings.items()
        ),
    )


def _of_method(
    name: str, kind: Kind, ranked: Ranked, items: ItemFacts, readers: Readers, case: NDArray[np.int64], k: int
) -> MethodPopularity:
    best = ranked.best[:, :k]
    shown = exposure(best, len(items.events))
    by_group = np.bincount(items.group, weights=shown, minlength=len(GROUPS))
    sought = items.group[ranked.items]
    hits = np.bincount(sought[ranked.ranks < k], minlength=len(GROUPS))
    there = np.maximum((best >= 0).sum(axis=1), 1)
    events, head = np.append(items.events, 0), np.append(items.group == 0, False)
    lists = mean_by_user(
        ranked.users, {"popularity": events[best].sum(axis=1) / there, "head": head[best].sum(axis=1) / there}
    )
    ndcg = accuracy_per_user(ranked, (k,)).column(f"ndcg@{k}")
    cold = sought == GROUPS.index("cold")
    ranks, last = ranked.ranks[cold], np.maximum(len(items.events) - readers.known[case[cold]] - 1, 1)

    def by_user_group(values: NDArray[np.float64]) -> Shares:
        return {
            label: _mean(values[readers.group == place])
            for place, label in enumerate(USER_GROUPS)
            if (readers.group == place).any()
        }

    return MethodPopularity(
        name=name,
        kind=kind,
        popularity=finite(float(shown @ items.events / max(int(shown.sum()), 1))),
        shown=_shares(by_group),
        found=_ratios(hits, np.bincount(sought, minlength=len(GROUPS))),
        head=by_user_group(lists.column("head")),
        lift=by_user_group(lists.column("popularity") / np.maximum(readers.popularity, 1e-9) - 1),
        ndcg=by_user_group(ndcg),
        cold_recall={f"recall@{at}": _mean((ranks < at).astype(float)) for at in COLD_KS},
        cold_rank=_mean(np.minimum(ranks / last, 1.0)),
    )


def _shares(counts: NDArray[Any]) -> Shares:
    return _ratios(counts, np.full(len(counts), counts.sum()))


def _ratios(part: NDArray[Any], whole: NDArray[Any]) -> Shares:
    return {name: float(a / b) if b else None for name, a, b in zip(GROUPS, part, whole, strict=True)}


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def charts(section: PopularitySection) -> list[Chart]:
    """Of every view: what is shown, to whom, and how well that serves them."""
    found: list[Chart] = []
    for view in section.views:
        where = f"{SPLITS.get(view.split, view.split)}, {view.protocol}"
        note = f"Shares of head, middle, tail and cold items among the first {view.k}, beside what users rated before and next."
        found.append((f"popularity-shown-{view.id}", f"What is shown: {where}", note, _shown(view)))
        note = "Lines: what share of their own histories head items were; dots: what share of their recommendations."
        found.append((f"popularity-head-{view.id}", f"Head items, by kind of user: {where}", note, _head(view)))
        note = "Whom the methods serve: each third of the users by itself. Baselines grey."
        found.append((f"popularity-ndcg-{view.id}", f"NDCG@{view.k}, by kind of user: {where}", note, _served(view)))
    return found


def _shown(view: PopularityView) -> figures.Spec:
    named = [(one.name, one.shown) for one in view.methods]
    named = [
        ("training events", {group.name: group.training for group in view.items}),
        ("rated next", {group.name: group.sought for group in view.items}),
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
        tooltip=["method:N", "users:N", *(alt.Tooltip(f"{name}:Q", format=".1%") for name in ("recommended", "rated"))],
    )
    line = base.mark_tick(thickness=2, color="#808890", height=16).encode(x="rated:Q")
    chart = (line + dot).properties(width=190, height=alt.Step(20))
    return figures.finished(chart.facet(facet=alt.Facet("users:N", sort=list(own), title=None), columns=3))


def _served(view: PopularityView) -> figures.Spec:
    order = [group.name for group in view.users]
    rows = [
        {"method": one.name, "users": group, "ndcg": value}
        for one in view.methods
        for group, value in one.ndcg.items()
        if value is not None
    ]
    chart = (
        alt.Chart(pd.DataFrame(rows, columns=["method", "users", "ndcg"]))
        .mark_line(point={"size": 40}, strokeWidth=1.8)
        .encode(
            x=alt.X("users:N", sort=order, title="users, by their histories", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("ndcg:Q", title=f"NDCG@{view.k}"),
            color=alt.Color("method:N", scale=_scale(view), title="method"),
            strokeDash=alt.StrokeDash("method:N", scale=dashed(_scale(view)), title="method"),
            tooltip=["method:N", "users:N", alt.Tooltip("ndcg:Q", format=".4f")],
        )
        .properties(width=330, height=230)
    )
    return figures.finished(chart)


def _scale(view: PopularityView) -> alt.Scale:
    policies = [one.name for one in view.methods if one.kind != "baseline"]
    return figures.method_scale(policies, [one.name for one in view.methods if one.kind == "baseline"])
