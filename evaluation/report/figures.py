"""The pieces that the report's charts share, as Vega-Lite: colours, intervals, bars, maps of items, and the theme."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import altair as alt
import pandas as pd

alt.data_transformers.disable_max_rows()
Spec = dict[str, Any]
COLOURS = [
    "#3b6fb6", "#d1743c", "#4f9a6b", "#8a6bb0", "#c9b037", "#3fb0b8", "#d65f5f", "#e07bb0", "#b58a5a", "#5c6b7a",
]  # fmt: skip
BASELINE_COLOUR = "#a3a9b0"
REFERENCE_COLOUR = "#808890"
GROUP_COLOURS = [
    "#4c8bd6", "#e08a3c", "#57a773", "#d65f5f", "#9a76c9", "#b58a5a", "#e07bb0", "#c9b037", "#3fb0b8",
]  # fmt: skip
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3], [10, 4], [6, 2, 1, 2, 1, 2])


class Chart(NamedTuple):
    """A chart of a page: its id, its caption and its Vega-Lite specification."""

    id: str
    title: str
    note: str
    spec: Spec


def coloured(names: Sequence[str] | pd.Series, shown: pd.Series | None = None) -> alt.Scale:
    """Colours by order of appearance, so that a name has the same colour in every chart.

    Args:
        names: all names.
        shown: the names in this chart, if not all; the legend lists only them.
    """
    there = set(names if shown is None else shown)
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(dict.fromkeys(names)) if name in there}
    return alt.Scale(domain=list(colours), range=list(colours.values()))


def method_scale(is_baseline: Mapping[str, bool]) -> alt.Scale:
    """Colours of methods by name: policies first, in the colours of `coloured`, then baselines, grey."""
    names = sorted(is_baseline, key=is_baseline.__getitem__)
    colours = [BASELINE_COLOUR if is_baseline[name] else COLOURS[row % len(COLOURS)] for row, name in enumerate(names)]
    return alt.Scale(domain=names, range=colours)


def method_lines(is_baseline: Mapping[str, bool]) -> dict[str, Any]:
    """The colour and the dash of a method's line: dashes tell the grey baselines apart."""
    scale = method_scale(is_baseline)
    dashes = [DASHES[place % len(DASHES)] for place in range(len(scale.domain))]
    return {
        "color": alt.Color("method:N", scale=scale, title="method"),
        "strokeDash": alt.StrokeDash("method:N", scale=alt.Scale(domain=scale.domain, range=dashes), title="method"),
    }


def numbers(*names: str, format: str = ".4f") -> list[alt.Tooltip]:
    """Tooltips of numbers."""
    return [alt.Tooltip(f"{name}:Q", format=format) for name in names]


def whisker(base: alt.Chart, width: float = 1.4, **encoding: Any) -> alt.Chart:
    """The intervals of a chart whose rows have columns low and high."""
    return base.mark_rule(strokeWidth=width).encode(**({"x": "low:Q", "x2": "high:Q"} | encoding))


def zero_line() -> alt.Chart:
    """A dashed vertical line at 0."""
    chart = alt.Chart(pd.DataFrame({"zero": [0.0]}))
    return chart.mark_rule(strokeDash=[3, 3], color=REFERENCE_COLOUR).encode(x="zero:Q")


def by_panel(name: str, order: Sequence[str]) -> alt.Facet:
    """A panel for each value of a column, without a title of its own."""
    return alt.Facet(f"{name}:N", sort=list(order), title=None)


def ends(intervals: Mapping[str, tuple[float, float]], name: str) -> dict[str, Any]:
    """An interval as columns low and high of a chart's row; None if there is no interval."""
    low, high = intervals.get(name, (None, None))
    return {"low": low, "high": high}


def with_ends(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with columns value, low, high, in which a missing interval has length 0.

    A panel without any interval would have no extent, which the browser's console reports.
    """
    return rows.assign(**{end: rows[end].astype(float).fillna(rows["value"]) for end in ("low", "high")})


def bars(methods: pd.DataFrame, metrics: Sequence[str]) -> Spec:
    """A bar per method with its 95 % interval, if it has one, a panel per metric; policies coloured, baselines grey.

    Args:
        methods: columns method, baseline, metric, value, low, high (of one split).
        metrics: the panels, in their order.
    """
    base = alt.Chart(with_ends(methods[methods["metric"].isin(metrics)])).encode(
        y=alt.Y("method:N", title=None, sort=None)
    )
    bar = base.mark_bar(height=14).encode(
        x=alt.X("value:Q", title=None),
        color=alt.Color(
            "method:N", scale=method_scale(dict(zip(methods["method"], methods["baseline"], strict=True))), legend=None
        ),
        tooltip=["method:N", *numbers("value")],
    )
    height = max(130, 20 * methods["method"].nunique())
    chart = (bar + whisker(base)).properties(width=230, height=height)
    return finished(chart.facet(facet=by_panel("metric", metrics), columns=3).resolve_scale(x="independent"))


def item_map(
    points: pd.DataFrame, groups: Sequence[str], tooltip: Sequence[Any], title: str | None = None, **mark: Any
) -> alt.Chart:
    """Items in the plane, a colour per group, without axes; a layer that others can be put on.

    Args:
        points: columns x, y, group and those of the tooltip.
        groups: in the order of the legend; `other` is drawn grey and below the others.
        tooltip: on hovering.
        title: of the legend.
        mark: size and opacity of the points.
    """
    named = [name for name in groups if name != "other"]
    colours = dict(zip(named, GROUP_COLOURS, strict=False)) | {"other": "#8c959d"}
    scale = alt.Scale(domain=list(groups), range=[colours[name] for name in groups])
    ordered = points.sort_values("group", key=lambda names: names != "other", kind="stable")
    return (
        alt.Chart(ordered)
        .mark_circle(**mark)
        .encode(
            x=alt.X("x:Q", axis=None),
            y=alt.Y("y:Q", axis=None),
            color=alt.Color("group:N", scale=scale, title=title),
            tooltip=list(tooltip),
        )
    )


def finished(chart: Any) -> Spec:
    """The specification of a chart with a transparent background and text that is legible on light and dark pages."""
    text = {"labelColor": REFERENCE_COLOUR, "titleColor": REFERENCE_COLOUR}
    themed = chart.configure(background="transparent", font="system-ui, sans-serif")
    themed = themed.configure_axis(
        **text, gridColor="#80808033", domainColor=REFERENCE_COLOUR, tickColor=REFERENCE_COLOUR
    )
    themed = themed.configure_legend(**text).configure_header(**text)
    themed = themed.configure_rule(color=REFERENCE_COLOUR).configure_text(color=REFERENCE_COLOUR)
    themed = themed.configure_tick(color=REFERENCE_COLOUR).configure_title(color=REFERENCE_COLOUR, fontSize=13)
    spec: Spec = themed.configure_view(stroke="#80808055").to_dict()
    return spec
