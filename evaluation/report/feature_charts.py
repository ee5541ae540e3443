"""The charts of the feature report: explained variance, blocks, and a histogram of norms."""

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.report.figures import COLOURS, Spec, finished, numbers


def explained(shares: Sequence[float]) -> Spec:
    """The cumulative share of the variance that the first dimensions keep."""
    data = pd.DataFrame({"dimensions": np.arange(1, len(shares) + 1), "share": np.cumsum(shares)})
    chart = (
        alt.Chart(data)
        .mark_line(strokeWidth=1.8, color=COLOURS[0])
        .encode(
            x=alt.X("dimensions:Q", title="dimensions kept"),
            y=alt.Y("share:Q", title="variance kept", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%")),
            tooltip=["dimensions:Q", *numbers("share", format=".1%")],
        )
        .properties(width=330, height=200)
    )
    return finished(chart)


def shares(blocks: pd.DataFrame) -> Spec:
    """Every block's share of the variance, and the share of the block that is kept.

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
            tooltip=["block:N", "measure:N", *numbers("share", format=".1%")],
        )
        .properties(width=330, height=alt.Step(14))
    )
    return finished(chart)


def histogram(values: NDArray[np.float64], unit: str, bins: int = 40) -> Spec:
    """A histogram of one or more values (N,)."""
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-3 * max(abs(high), 1e-9):  # equal values: one bar instead of rounding errors
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
            tooltip=[*numbers("low", "high", format=".3g"), "items:Q"],
        )
        .properties(width=330, height=200)
    )
    return finished(chart)
