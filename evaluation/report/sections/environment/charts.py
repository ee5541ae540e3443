"""The charts of returns: return against NDCG, and returns without each mechanism."""

import altair as alt
import pandas as pd

from evaluation.report import figures
from evaluation.report.figures import REFERENCE_COLOUR, Chart, Spec
from evaluation.report.sections.environment.numbers import GREEDY, PLAN, EnvironmentSection


def draw(section: EnvironmentSection) -> list[Chart]:
    """Return against NDCG of all methods, and the returns of a few in every setting."""
    note = (
        "Each method's mean return with 95 % interval over users, against how well it predicts test users' next item. "
        "Dashed: controls that know the truth."
    )
    return [
        Chart("environment-frontier", "Return against NDCG@10", note, frontier(section)),
        Chart(
            "environment-settings", "Return without each mechanism", "Mean returns; the same users.", settings(section)
        ),
    ]


def frontier(section: EnvironmentSection) -> Spec:
    """A point per method with its interval; horizontal lines for the controls."""
    rows = [one.model_dump() for one in section.methods if one.ndcg is not None]
    columns = ["name", "kind", "value", "low", "high", "length", "ndcg"]
    data = pd.DataFrame(rows, columns=columns).rename(columns={"name": "method"})
    order = [one.name for one in section.methods if one.kind != "control"]
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


def settings(section: EnvironmentSection) -> Spec:
    """Bars of returns, a panel per setting."""
    rows = [
        {"method": name, "setting": setting_name(one.off, section), "value": value}
        for one in section.settings
        for name, value in one.returns.items()
    ]
    data, order = pd.DataFrame(rows), [setting_name(one.off, section) for one in section.settings]
    chart = (
        alt.Chart(data)
        .mark_bar(height=13)
        .encode(
            y=alt.Y("method:N", title=None, sort=list(section.settings[0].returns)),
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
    return figures.finished(chart.facet(facet=figures.by_panel("setting", order), columns=3))


def setting_name(off: tuple[str, ...], section: EnvironmentSection) -> str:
    """The name of a setting on the page."""
    if not off:
        return "all mechanisms"
    if len(off) == len(section.settings[-1].off) and off == section.settings[-1].off:
        return "no mechanism"
    return "without " + " and ".join(name.replace("_", "-") for name in off)
