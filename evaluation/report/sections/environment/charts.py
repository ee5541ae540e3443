"""The charts of returns: return against NDCG, returns with other mechanisms, and how well fitted users predict."""

import altair as alt
import pandas as pd

from evaluation.report import figures
from evaluation.report.figures import REFERENCE_COLOUR, Chart, Spec
from evaluation.report.sections.environment.choosers import GREEDY, PLAN
from evaluation.report.sections.environment.fit import Fit
from evaluation.report.sections.environment.numbers import EnvironmentSection

SHOWN = ("true liking, no state", GREEDY, PLAN)  # the controls in the chart of settings


def draw(section: EnvironmentSection) -> list[Chart]:
    """Return against NDCG of all methods, the returns of a few in every setting, and how well fitted users predict."""
    note = (
        "Each method's mean return with 95 % interval over users, against how well it predicts test users' next item. "
        "Dashed: controls that know the simulated users."
    )
    charts = [
        Chart("environment-frontier", "Return against NDCG@10", note, frontier(section)),
        Chart(
            "environment-settings",
            "Return with other mechanisms",
            "Mean returns of the best policy, the best baseline and controls; the same users.",
            by_setting(section),
        ),
    ]
    if section.fit is not None:
        note = "Left: a point per tenth of the ratings; on the line, predictions are right on average. Right: how many go on."
        charts.append(Chart("environment-fit", "Held-out ratings and lengths of stay", note, fit(section.fit)))
    return charts


def frontier(section: EnvironmentSection) -> Spec:
    """A point per method with its interval; horizontal lines for the controls."""
    rows = [one.model_dump() for one in section.methods if one.ndcg is not None]
    columns = ["name", "kind", "value", "low", "high", "length", "ndcg"]
    data = pd.DataFrame(rows, columns=columns).rename(columns={"name": "method"})
    order = [one.name for one in section.methods if one.kind in ("policy", "baseline")]
    scale = figures.method_scale({one.name: one.kind == "baseline" for one in section.methods if one.name in order})
    base = alt.Chart(data).encode(x=alt.X("ndcg:Q", title="NDCG@10 of the next item"))
    colour = alt.Color("method:N", scale=scale, legend=None)
    dot = base.mark_circle(size=70, opacity=1).encode(
        y=alt.Y("value:Q", title="return"),
        color=colour,
        tooltip=[
            "method:N",
            *figures.numbers("value", "low", "high", "length", format=".1f"),
            *figures.numbers("ndcg"),
        ],
    )
    bar = base.mark_rule(strokeWidth=1.4).encode(y="low:Q", y2="high:Q", color=colour)
    text = base.mark_text(align="left", dx=7, fontSize=10).encode(y="value:Q", text="method:N")
    known = pd.DataFrame([{"control": name, "value": section.named(name).value} for name in (GREEDY, PLAN)])
    rule = (
        alt.Chart(known).mark_rule(strokeDash=[4, 3], color=REFERENCE_COLOUR).encode(y="value:Q", tooltip=["control:N"])
    )
    said = (
        alt.Chart(known)
        .mark_text(align="left", dx=4, dy=-6, fontSize=10)
        .encode(y="value:Q", x=alt.value(0), text="control:N")
    )
    return figures.finished((rule + said + bar + dot + text).properties(width=560, height=330))


def by_setting(section: EnvironmentSection) -> Spec:
    """Bars of returns, a panel per setting."""
    shown = [name for name in (section.best_policy, section.best_baseline, *SHOWN) if name is not None]
    rows = [
        {"method": name, "setting": one.name, "value": one.returns[name]} for one in section.settings for name in shown
    ]
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar(height=13)
        .encode(
            y=alt.Y("method:N", title=None, sort=shown),
            x=alt.X("value:Q", title="return"),
            color=alt.condition(
                alt.datum.method == section.best_policy,
                alt.value(figures.COLOURS[0]),
                alt.value(figures.BASELINE_COLOUR),
            ),
            tooltip=["method:N", "setting:N", *figures.numbers("value", format=".1f")],
        )
        .properties(width=230, height=alt.Step(20))
    )
    order = [one.name for one in section.settings]
    return figures.finished(chart.facet(facet=figures.by_panel("setting", order), columns=3))


def fit(found: Fit) -> Spec:
    """Observed against predicted ratings, and the shares of logged and simulated users who go on."""
    points = pd.DataFrame([one.model_dump() for one in found.calibration])
    ends = [float(value) for value in (points.min().min(), points.max().max())]
    line = alt.Chart(pd.DataFrame({"predicted": ends, "observed": ends})).mark_line(
        strokeDash=[4, 3], color=REFERENCE_COLOUR
    )
    dots = alt.Chart(points).mark_circle(size=60, opacity=1, color=figures.COLOURS[0])
    axes = {
        "x": alt.X("predicted:Q", title="predicted rating", scale=alt.Scale(zero=False)),
        "y": alt.Y("observed:Q", title="mean rating", scale=alt.Scale(zero=False)),
    }
    left = line.encode(**axes) + dots.encode(**axes, tooltip=figures.numbers("predicted", "observed", format=".2f"))
    rows = [
        {"users": name, "events": events, "share": share}
        for name, shares in (("logged", found.sessions.logged), ("simulated", found.sessions.simulated))
        for events, share in enumerate(shares)
    ]
    right = (
        alt.Chart(pd.DataFrame(rows))
        .mark_line(interpolate="step-after")
        .encode(
            x=alt.X("events:Q", title="events"),
            y=alt.Y("share:Q", title="share that goes on"),
            color=alt.Color("users:N", scale=figures.coloured(["logged", "simulated"]), title=None),
            tooltip=["users:N", "events:Q", *figures.numbers("share", format=".3f")],
        )
    )
    return figures.finished(left.properties(width=260, height=230) | right.properties(width=260, height=230))
