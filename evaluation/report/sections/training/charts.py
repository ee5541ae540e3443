"""Charts of training curves: lines over updates, and bands of quantiles."""

import altair as alt
import pandas as pd

from evaluation.report import figures
from evaluation.report.figures import Chart, Spec
from evaluation.report.sections.training.numbers import CHARTS, Panels, TrainingSection


def draw(section: TrainingSection) -> list[Chart]:
    """The charts for which any learner has curves."""
    rows = pd.DataFrame(
        [
            (curve.learner, step, curve.split, curve.metric, value)
            for curve in section.curves
            for step, value in zip(curve.steps, curve.values, strict=True)
        ],
        columns=["learner", "step", "split", "metric", "value"],
    ).astype({"value": float})
    logged = set(rows["metric"])
    return [
        Chart(one.id, one.title, one.note, bands(rows, one) if one.bands else lines(rows, one))
        for one in CHARTS
        if one.logged & logged
    ]


def lines(rows: pd.DataFrame, panels: Panels) -> Spec:
    """Metrics over updates, a panel per metric, a line per learner, dashed for validation.

    Args:
        rows: columns learner, step, split, metric, value.
        panels: the metrics.
    """
    data = rows[rows["metric"].isin(panels.metrics)]
    chart = (
        alt.Chart(data)
        .mark_line(interpolate="linear", strokeWidth=1.6)
        .encode(
            x=alt.X("step:Q", title="updates"),
            y=alt.Y("value:Q", title=panels.unit, scale=alt.Scale(zero=False)),
            color=alt.Color("learner:N", scale=figures.coloured(rows["learner"], data["learner"]), title="learner"),
            strokeDash=alt.StrokeDash("split:N", sort=["train", "validation"], title="users"),
            tooltip=["learner:N", "split:N", "step:Q", *figures.numbers("value", format=".4g")],
        )
        .properties(width=330, height=200)
        .facet(facet=figures.by_panel("metric", panels.metrics), columns=2)
    )
    return figures.finished(chart.resolve_scale(y="independent"))


def bands(rows: pd.DataFrame, panels: Panels) -> Spec:
    """Quantiles of validation metrics over updates, a panel per metric: the median, the middle half, the middle 90 %.

    Args:
        rows: columns learner, step, split, metric, value.
        panels: the metrics.
    """
    known = rows[rows["split"] == "validation"].copy()
    known[["metric", "level"]] = known["metric"].str.extract(r"^(.*)_(q\d\d)$")
    chosen = known[known["metric"].isin(panels.metrics)]
    data = chosen.pivot(index=["learner", "step", "metric"], columns="level", values="value").reset_index()
    base = alt.Chart(data).encode(
        x=alt.X("step:Q", title="updates"),
        color=alt.Color("learner:N", scale=figures.coloured(rows["learner"], chosen["learner"]), title="learner"),
    )
    y = alt.Y("q05:Q", title=panels.unit, scale=alt.Scale(zero=False))
    wide = base.mark_area(opacity=0.12).encode(y=y, y2="q95:Q")
    middle = base.mark_area(opacity=0.25).encode(y=alt.Y("q25:Q"), y2="q75:Q")
    median = base.mark_line(strokeWidth=1.6).encode(
        y="q50:Q", tooltip=["learner:N", "step:Q", *figures.numbers("q05", "q50", "q95", format=".4g")]
    )
    columns = 3 if len(panels.metrics) == 3 else 2
    chart = (
        (wide + middle + median)
        .properties(width=265, height=180)  # three panels and a legend fill the page
        .facet(facet=figures.by_panel("metric", panels.metrics), columns=columns)
    )
    return figures.finished(chart.resolve_scale(y="independent"))
