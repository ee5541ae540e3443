"""The report's charts, as Vega-Lite specifications."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

alt.data_transformers.disable_max_rows()
Spec = dict[str, Any]
COLOURS = [
    "#3b6fb6", "#d1743c", "#4f9a6b", "#8a6bb0", "#c9b037", "#3fb0b8", "#d65f5f", "#e07bb0", "#b58a5a", "#5c6b7a",
]  # fmt: skip
BASELINE_COLOUR = "#a3a9b0"
GROUP_COLOURS = [
    "#4c8bd6", "#e08a3c", "#57a773", "#d65f5f", "#9a76c9", "#b58a5a", "#e07bb0", "#c9b037", "#3fb0b8",
]  # fmt: skip


def curves(rows: pd.DataFrame, metrics: Sequence[str], unit: str) -> Spec:
    """Metrics over steps, one panel per metric, a line per learner, dashed for validation.

    Args:
        rows: columns learner, step, split, metric, value.
        metrics: which of them.
        unit: of the values.
    """
    data = rows[rows["metric"].isin(metrics)]
    chart = (
        alt.Chart(data)
        .mark_line(interpolate="linear", strokeWidth=1.6)
        .encode(
            x=alt.X("step:Q", title="updates"),
            y=alt.Y("value:Q", title=unit, scale=alt.Scale(zero=False)),
            color=alt.Color("learner:N", scale=coloured(rows["learner"], data["learner"]), title="learner"),
            strokeDash=alt.StrokeDash("split:N", sort=["train", "validation"], title="users"),
            tooltip=["learner:N", "split:N", "step:Q", alt.Tooltip("value:Q", format=".4g")],
        )
        .properties(width=330, height=200)
        .facet(facet=alt.Facet("metric:N", sort=list(metrics), title=None), columns=2)
        .resolve_scale(y="independent")
    )
    return finished(chart)


def bands(rows: pd.DataFrame, metrics: Sequence[str], unit: str) -> Spec:
    """Quantiles of validation metrics over steps, one panel per metric: the median, the middle half, the middle 90 %.

    Args:
        rows: columns learner, step, split, metric, value; of metric m the rows m_q05, m_q25, m_q50, m_q75, m_q95.
        metrics: which of them.
        unit: of the values.
    """
    known = rows[rows["split"] == "validation"].copy()
    known[["metric", "level"]] = known["metric"].str.extract(r"^(.*)_(q\d\d)$")
    chosen = known[known["metric"].isin(metrics)]
    data = chosen.pivot(index=["learner", "step", "metric"], columns="level", values="value").reset_index()
    base = alt.Chart(data).encode(
        x=alt.X("step:Q", title="updates"),
        color=alt.Color("learner:N", scale=coloured(rows["learner"], chosen["learner"]), title="learner"),
    )
    y = alt.Y("q05:Q", title=unit, scale=alt.Scale(zero=False))
    wide = base.mark_area(opacity=0.12).encode(y=y, y2="q95:Q")
    middle = base.mark_area(opacity=0.25).encode(y=alt.Y("q25:Q"), y2="q75:Q")
    median = base.mark_line(strokeWidth=1.6).encode(
        y="q50:Q", tooltip=["learner:N", "step:Q", *(alt.Tooltip(f"q{q}:Q", format=".4g") for q in ("05", "50", "95"))]
    )
    chart = (
        (wide + middle + median)
        .properties(width=265, height=180)  # three beside a legend fill the page
        .facet(facet=alt.Facet("metric:N", sort=list(metrics), title=None), columns=3 if len(metrics) == 3 else 2)
        .resolve_scale(y="independent")
    )
    return finished(chart)


def coloured(names: pd.Series, shown: pd.Series | None = None) -> alt.Scale:
    """The same colour for the same name in every chart: names in order of appearance; of those that are shown, if not all."""
    there = set(names if shown is None else shown)
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(dict.fromkeys(names)) if name in there}
    return alt.Scale(domain=list(colours), range=list(colours.values()))


def method_scale(policies: Sequence[str], baselines: Sequence[str]) -> alt.Scale:
    """Policies in their colours, as `coloured` gives them, baselines grey."""
    colours = [COLOURS[place % len(COLOURS)] for place in range(len(policies))]
    return alt.Scale(domain=[*policies, *baselines], range=colours + [BASELINE_COLOUR] * len(baselines))


def bars(methods: pd.DataFrame, metrics: Sequence[str]) -> Spec:
    """Metrics of every method with 95 % intervals, where they have one, a panel per metric; policies in their colours, baselines grey.

    Args:
        methods: columns method, baseline, metric, value, low, high (of one split).
        metrics: which of them.
    """
    scale = method_scale(
        *(list(dict.fromkeys(methods.loc[methods["baseline"] == is_one, "method"])) for is_one in (False, True))
    )
    base = alt.Chart(with_ends(methods[methods["metric"].isin(metrics)])).encode(
        y=alt.Y("method:N", title=None, sort=None)
    )
    mark = base.mark_bar(height=14).encode(
        x=alt.X("value:Q", title=None),
        color=alt.Color("method:N", scale=scale, legend=None),
        tooltip=["method:N", alt.Tooltip("value:Q", format=".4f")],
    )
    whisker = base.mark_rule(strokeWidth=1.4).encode(x="low:Q", x2="high:Q")
    height = max(130, 20 * methods["method"].nunique())
    chart = (mark + whisker).properties(width=230, height=height).facet(
        facet=alt.Facet("metric:N", sort=list(metrics), title=None), columns=3
    )  # fmt: skip
    return finished(chart.resolve_scale(x="independent"))


def ends(intervals: Mapping[str, tuple[float, float]], name: str) -> dict[str, Any]:
    """An interval as columns low and high of a chart's row, None where there is none."""
    low, high = intervals.get(name, (None, None))
    return {"low": low, "high": high}


def with_ends(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with columns value, low, high, of which those without an interval get whiskers of no length.

    A panel without a single end would have no extent, of which the browser's console complains.
    """
    return rows.assign(**{end: rows[end].astype(float).fillna(rows["value"]) for end in ("low", "high")})


def projection(points: pd.DataFrame, groups: Sequence[str]) -> Spec:
    """Items in the plane, a colour per group, titles on hovering.

    Args:
        points: columns x, y, group, title.
        groups: in the order of the legend; `other` is drawn grey and below the others.
    """
    named = [name for name in groups if name != "other"]
    colours = dict(zip(named, GROUP_COLOURS, strict=False)) | {"other": "#8c959d"}
    scale = alt.Scale(domain=list(groups), range=[colours[name] for name in groups])
    chart = (
        alt.Chart(points.sort_values("group", key=lambda names: names != "other", kind="stable"))
        .mark_circle(size=22, opacity=0.75)
        .encode(
            x=alt.X("x:Q", axis=None),
            y=alt.Y("y:Q", axis=None),
            color=alt.Color("group:N", scale=scale, title=None),
            tooltip=["title:N", "group:N"],
        )
        .properties(width=760, height=560)
    )
    return finished(chart)


def explained(shares: Sequence[float]) -> Spec:
    """Cumulative share of the variance that the first dimensions keep."""
    data = pd.DataFrame({"dimensions": np.arange(1, len(shares) + 1), "share": np.cumsum(shares)})
    chart = (
        alt.Chart(data)
        .mark_line(strokeWidth=1.8, color=COLOURS[0])
        .encode(
            x=alt.X("dimensions:Q", title="dimensions kept"),
            y=alt.Y("share:Q", title="variance kept", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            tooltip=["dimensions:Q", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=330, height=200)
    )
    return finished(chart)


def shares(blocks: pd.DataFrame) -> Spec:
    """Every block's share of the variance beside how much of the block is kept.

    Args:
        blocks: columns block, measure, share.
    """
    data = blocks.dropna(subset=["share"])
    measures = list(dict.fromkeys(data["measure"]))
    chart = (
        alt.Chart(data)
        .mark_bar(height={"band": 0.8})
        .encode(
            y=alt.Y("block:N", title=None, sort=None),
            yOffset=alt.YOffset("measure:N", sort=measures),
            x=alt.X("share:Q", title=None, axis=alt.Axis(format="%")),
            color=alt.Color("measure:N", sort=measures, scale=alt.Scale(range=COLOURS[:2]), title=None),
            tooltip=["block:N", "measure:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=330, height=alt.Step(14))
    )
    return finished(chart)


def histogram(values: NDArray[np.float64], unit: str, bins: int = 40) -> Spec:
    """How often values (N,), one or more, fall into equal bins."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-3 * max(abs(high), 1e-9):  # all alike: one bar, not the noise of rounding
        low, high, bins = low - 0.5, high + 0.5, 1
    counts, edges = np.histogram(values, bins=bins, range=(low, high))
    data = pd.DataFrame({"low": np.round(edges[:-1], 5), "high": np.round(edges[1:], 5), "items": counts})
    chart = (
        alt.Chart(data)
        .mark_bar(color=COLOURS[0])
        .encode(
            x=alt.X("low:Q", title=unit, bin="binned", scale=alt.Scale(zero=False, nice=False)),
            x2="high:Q",
            y=alt.Y("items:Q", title="items"),
            tooltip=[alt.Tooltip("low:Q", format=".3g"), alt.Tooltip("high:Q", format=".3g"), "items:Q"],
        )
        .properties(width=330, height=200)
    )
    return finished(chart)


def finished(chart: Any) -> Spec:
    """The specification with a transparent ground and text that reads on light and dark pages."""
    grey = "#808890"
    themed = chart.configure(background="transparent", font="system-ui, sans-serif")
    themed = themed.configure_axis(
        labelColor=grey, titleColor=grey, gridColor="#80808033", domainColor=grey, tickColor=grey
    )
    themed = themed.configure_legend(labelColor=grey, titleColor=grey).configure_header(
        labelColor=grey, titleColor=grey
    )
    themed = themed.configure_rule(color=grey).configure_text(color=grey).configure_tick(color=grey)
    spec: Spec = themed.configure_title(color=grey, fontSize=13).configure_view(stroke="#80808055").to_dict()
    return spec
