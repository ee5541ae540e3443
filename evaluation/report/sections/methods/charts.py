"""Charts of the methods' metrics over the length of the list, and of the challenger's differences to the others."""

import altair as alt
import pandas as pd

from evaluation.protocols.metrics import KS, METRICS, label
from evaluation.report import figures
from evaluation.report.figures import Chart, Spec
from evaluation.report.labels import SPLITS
from evaluation.report.sections.methods.numbers import MethodsSection, Table

OUTCOMES = {"better": "#4f9a6b", "worse": "#d65f5f", "no difference shown": figures.BASELINE_COLOUR}


def draw(section: MethodsSection) -> list[Chart]:
    """For every set of cases: metrics over k (not by the Mult-VAE protocol), and the challenger's differences."""
    found: list[Chart] = []
    for table in section.tables():
        where = f"{SPLITS.get(table.split, table.split)}, {table.protocol}"
        if table.protocol != "mult-vae":
            note = "The mean over users against the length k of the list (logarithmic). Baselines are grey; click a name to highlight it."
            title = f"Metrics over the length of the list: {where}"
            found.append(Chart(f"methods-curves-{table.id}", title, note, over_k(section, table)))
        if table.comparisons:
            note = (
                f"Mean {label(table.first)} of {section.challenger} minus that of each other method, with the 95 % interval of "
                "the paired bootstrap over users. Right of the line the challenger is better. Grey: the test, after Holm's "
                "correction, shows no difference."
            )
            title = f"Difference to the other methods: {where}"
            found.append(Chart(f"methods-differences-{table.id}", title, note, differences(table)))
    return found


def over_k(section: MethodsSection, table: Table) -> Spec:
    """A line per method, a panel per metric that is drawn over k."""
    titles = {name: f"{metric.label}@k" for name, metric in METRICS.items() if metric.curve}
    rows = [
        {"method": one.name, "metric": title, "k": k, "value": one.metrics[f"{metric}@{k}"]}
        for one in section.of(table.split, table.protocol)
        if one.kind != "published"
        for metric, title in titles.items()
        for k in KS
    ]
    is_baseline = {one.name: one.kind == "baseline" for one in section.results if one.kind != "published"}
    picked = alt.selection_point(fields=["method"], bind="legend")
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_line(point={"size": 22}, strokeWidth=1.8)
        .encode(
            x=alt.X("k:Q", scale=alt.Scale(type="log"), axis=alt.Axis(values=list(KS)), title="k"),
            y=alt.Y("value:Q", title="mean over users"),
            opacity=alt.condition(picked, alt.value(1.0), alt.value(0.12)),
            tooltip=["method:N", "k:Q", *figures.numbers("value")],
            **figures.method_lines(is_baseline),
        )
        .add_params(picked)
        .properties(width=330, height=230)
        .facet(facet=figures.by_panel("metric", list(titles.values())), columns=2)
    )
    return figures.finished(chart.resolve_scale(y="independent"))


def differences(table: Table) -> Spec:
    """A point with its interval per method, coloured by the outcome of the test."""
    rows = [
        one.model_dump(include={"other", "difference", "low", "high", "p_adjusted"}) | {"outcome": one.outcome}
        for one in table.comparisons
        if one.metric == table.first
    ]
    order = [row["other"] for row in sorted(rows, key=lambda row: float(row["difference"]))]
    base = alt.Chart(pd.DataFrame(rows)).encode(y=alt.Y("other:N", title=None, sort=order))
    colour = alt.Color(
        "outcome:N",
        scale=alt.Scale(domain=list(OUTCOMES), range=list(OUTCOMES.values())),
        title=None,
        legend=alt.Legend(orient="bottom"),
    )
    x = alt.X("low:Q", title=f"difference in {label(table.first)}", axis=alt.Axis(tickCount=5))
    corrected = alt.Tooltip("p_adjusted:Q", format=".2g", title="p after Holm")
    point = base.mark_point(filled=True, size=60, opacity=1).encode(
        x="difference:Q", color=colour, tooltip=["other:N", *figures.numbers("difference", "low", "high"), corrected]
    )
    chart = figures.zero_line() + figures.whisker(base, 1.6, x=x, color=colour) + point
    return figures.finished(chart.properties(width=420, height=max(60, 22 * len(rows))))
