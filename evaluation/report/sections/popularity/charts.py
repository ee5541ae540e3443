"""Charts of popularity bias: the groups of the recommended items, by user group, and items without training events."""

import altair as alt
import pandas as pd

from evaluation.protocols.beyond_accuracy import GROUPS
from evaluation.report import figures
from evaluation.report.figures import Chart, Spec
from evaluation.report.labels import cases_title
from evaluation.report.sections.popularity.numbers import COLD_KS, PopularitySection, PopularityView

ITEM_GROUP_COLOURS = ("#3b6fb6", "#8fb3e0", "#d1a54a", "#a3a9b0")  # head, middle, tail, cold


def draw(section: PopularitySection) -> list[Chart]:
    """Three charts of every view, and one of cold items if the view has such targets."""
    found: list[Chart] = []
    for view in section.views:
        where = cases_title(view.split, view.protocol)
        note = (
            f"Shares of head, middle, tail and cold items among the first {view.k}, and among the items that users rated "
            "before and after."
        )
        found.append(Chart(f"popularity-shown-{view.id}", f"Recommended items ({where})", note, shown(view)))
        note = "Ticks: the share of head items in the users' own histories. Dots: the share in the recommendations, with the 95 % interval."
        found.append(Chart(f"popularity-head-{view.id}", f"Head items, by user group ({where})", note, head(view)))
        note = "Accuracy for each third of the users; intervals on hovering. Baselines are grey."
        title = f"NDCG@{view.k}, by user group ({where})"
        found.append(Chart(f"popularity-ndcg-{view.id}", title, note, accuracy(view)))
        if view.cold_sought:
            note = (
                f"Means over the {view.cold_users} users with a target that has no training events, with 95 % intervals. "
                "Relative rank: 0 first, 1 last, 0.5 by chance."
            )
            title = f"Items without training events ({where})"
            found.append(Chart(f"popularity-cold-{view.id}", title, note, cold(view)))
    return found


def shown(view: PopularityView) -> Spec:
    """Stacked bars of item groups: the training events, the items rated afterwards, and every method's recommendations."""
    named = {
        "training events": {group.name: group.training for group in view.items},
        "rated afterwards": {group.name: group.sought for group in view.items},
    } | {one.name: one.shown for one in view.methods}
    rows = [
        {"of": name, "group": group, "share": share, "order": GROUPS.index(group)}
        for name, shares in named.items()
        for group, share in shares.items()
    ]
    colours = alt.Scale(domain=list(GROUPS), range=list(ITEM_GROUP_COLOURS))
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar(height={"band": 0.75})
        .encode(
            y=alt.Y("of:N", title=None, sort=list(named)),
            x=alt.X("share:Q", title="share", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("group:N", sort=list(GROUPS), scale=colours, title="items"),
            order="order:Q",
            tooltip=["of:N", "group:N", *figures.numbers("share", format=".1%")],
        )
        .properties(width=420, height=alt.Step(20))
    )
    return figures.finished(chart)


def head(view: PopularityView) -> Spec:
    """The share of head items in recommendations and histories, a panel per user group."""
    own = {group.name: group.head for group in view.users}
    rows = [
        {"method": one.name, "users": group, "recommended": share, "rated": own[group]}
        | figures.ends(one.intervals, f"head {group}")
        for one in view.methods
        for group, share in one.head.items()
    ]
    order = [one.name for one in view.methods]
    base = alt.Chart(pd.DataFrame(rows)).encode(y=alt.Y("method:N", title=None, sort=order))
    dot = base.mark_point(filled=True, size=70, opacity=1).encode(
        x=alt.X("recommended:Q", title="share of head items", axis=alt.Axis(format="%", tickCount=4)),
        color=alt.Color("method:N", scale=figures.method_scale(baselines_of(view)), legend=None),
        tooltip=["method:N", "users:N", *figures.numbers("recommended", "low", "high", "rated", format=".1%")],
    )
    tick = base.mark_tick(thickness=2, color=figures.REFERENCE_COLOUR, height=16).encode(x="rated:Q")
    chart = (tick + figures.whisker(base) + dot).properties(width=190, height=alt.Step(20))
    return figures.finished(chart.facet(facet=figures.by_panel("users", list(own)), columns=3))


def accuracy(view: PopularityView) -> Spec:
    """NDCG over user groups, a line per method."""
    rows = [
        {"method": one.name, "users": group, "ndcg": value} | figures.ends(one.intervals, f"ndcg {group}")
        for one in view.methods
        for group, value in one.ndcg.items()
        if value is not None
    ]
    order = [group.name for group in view.users]
    chart = (
        alt.Chart(pd.DataFrame(rows, columns=["method", "users", "ndcg", "low", "high"]))
        .mark_line(point={"size": 40}, strokeWidth=1.8)
        .encode(
            x=alt.X("users:N", sort=order, title="users, by their histories", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("ndcg:Q", title=f"NDCG@{view.k}"),
            tooltip=["method:N", "users:N", *figures.numbers("ndcg", "low", "high")],
            **figures.method_lines(baselines_of(view)),
        )
        .properties(width=330, height=230)
    )
    return figures.finished(chart)


def cold(view: PopularityView) -> Spec:
    """Recall and relative rank of items without training events."""
    titles = {f"cold_recall recall@{k}": f"Recall@{k}" for k in COLD_KS} | {"cold_rank": "relative rank"}
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


def baselines_of(view: PopularityView) -> dict[str, bool]:
    """By method whether it is a baseline."""
    return {one.name: one.kind == "baseline" for one in view.methods}
