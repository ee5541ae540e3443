"""Charts of the distances' rankings, of their overlap, and of the diversity of lists."""

import altair as alt
import pandas as pd

from evaluation.report import figures
from evaluation.report.figures import Chart, Spec
from evaluation.report.sections.distances.numbers import WAYS, DistancesSection


def draw(section: DistancesSection) -> list[Chart]:
    """Metrics by distance and overlaps of policies with an action; the diversity of every method's lists."""
    made: list[Chart] = []
    if section.policies:
        note = (
            "One point per policy; the actions are the same, only the way from an action to items differs. “own” is the policy's "
            "own ranking. NDCG has its 95 % interval over users; coverage and distinct items are properties of all lists together "
            "and have none."
        )
        made.append(Chart("distance-metrics", "Ranking by each distance", note, metrics(section)))
        note = "Mean Jaccard similarity of the top ten by two ways of ranking; bright cells have nearly the same recommendations."
        made.append(Chart("distance-overlap", "Overlap of the distances' lists", note, overlaps(section)))
    if section.methods:
        note = (
            "Mean Jaccard distance of two top tens: of different users (0: the same list for all), and of one user with and "
            "without one of their latest items (1: the list depends on a single event). With 95 % intervals over users."
        )
        made.append(Chart("list-diversity", "Diversity of lists", note, diversity(section)))
    return made


def metrics(section: DistancesSection) -> Spec:
    """A point per policy and way of ranking, a panel per metric."""
    titles = {"ndcg@10": "NDCG@10", "coverage@10": "coverage@10", "distinct": "distinct items"}
    rows = [
        {"policy": policy.policy, "way": way, "metric": title, "value": policy.metrics[way][metric]}
        | figures.ends(policy.intervals.get(way, {}), metric)
        for policy in section.policies
        for metric, title in titles.items()
        for way in WAYS
    ]
    data = pd.DataFrame(rows)
    data["interval"] = [
        f"{low:.4g} – {high:.4g}" if pd.notna(low) else "none"
        for low, high in zip(data["low"], data["high"], strict=True)
    ]
    policies = [method.method for method in section.methods if not method.baseline]
    base = alt.Chart(figures.with_ends(data)).encode(
        y=alt.Y("way:N", sort=list(WAYS), title=None, axis=alt.Axis(grid=True)),
        yOffset=alt.YOffset("policy:N", sort=list(dict.fromkeys(data["policy"]))),
        color=alt.Color("policy:N", scale=figures.coloured(policies, data["policy"]), title="policy"),
    )
    point = base.mark_point(filled=True, size=40, opacity=0.85).encode(
        x=alt.X("value:Q", title=None, axis=alt.Axis(tickCount=4)),
        tooltip=["policy:N", "way:N", *figures.numbers("value", format=".4g"), "interval:N"],
    )
    chart = (
        (figures.whisker(base, 1.2) + point)
        .properties(width=210, height=190 + 4 * len(WAYS) * len(section.policies))
        .facet(facet=figures.by_panel("metric", list(titles.values())), columns=3)
    )
    return figures.finished(chart.resolve_scale(x="independent"))


def overlaps(section: DistancesSection) -> Spec:
    """A small matrix per policy."""
    rows = [
        {"policy": policy.policy, "way": WAYS[row], "other": WAYS[column], "overlap": value}
        for policy in section.policies
        for row, values in enumerate(policy.overlap)
        for column, value in enumerate(values)
    ]
    names = [policy.policy for policy in section.policies]
    scale = alt.Scale(scheme="viridis", domain=[0, 1])
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_rect()
        .encode(
            x=alt.X("other:N", sort=list(WAYS), title=None, axis=alt.Axis(labelAngle=-60)),
            y=alt.Y("way:N", sort=list(WAYS), title=None),
            color=alt.Color("overlap:Q", scale=scale, title="similarity"),
            tooltip=["policy:N", "way:N", "other:N", *figures.numbers("overlap", format=".3f")],
        )
        .properties(width=190, height=190)
        .facet(facet=figures.by_panel("policy", names), columns=min(3, len(names)))
    )
    return figures.finished(chart)


def diversity(section: DistancesSection) -> Spec:
    """Both diversities of every method."""
    titles = {"between_users": "between users", "between_samples": "between samples of a user"}
    rows = [
        {"method": method.method, "baseline": method.baseline, "metric": title, "value": value}
        | figures.ends(method.intervals, name)
        for method in section.methods
        for name, title in titles.items()
        if (value := getattr(method, name)) is not None
    ]
    return figures.bars(pd.DataFrame(rows), list(titles.values()))
