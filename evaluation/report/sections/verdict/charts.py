"""The chart of the challenger's differences to its opponents."""

import altair as alt
import pandas as pd

from evaluation.report import figures
from evaluation.report.figures import COLOURS, Chart
from evaluation.report.sections.verdict.numbers import VerdictSection


def draw(section: VerdictSection) -> list[Chart]:
    """Differences with their intervals; right of zero the challenger is better."""
    if not section.opponents:
        return []
    data = pd.DataFrame([one.model_dump() for one in section.opponents])
    data["label"] = [one.other if one.role in one.other else f"{one.other} ({one.role})" for one in section.opponents]
    base = alt.Chart(data).encode(y=alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=260)))
    x = alt.X("low:Q", title=f"difference in {section.metric.upper()}")
    signed = figures.numbers("difference", "low", "high", format="+.4f")
    point = base.mark_point(filled=True, size=90, color=COLOURS[0], opacity=1).encode(
        x="difference:Q", tooltip=["other:N", *signed, alt.Tooltip("p:Q", format=".2g")]
    )
    interval = figures.whisker(base, 2.5, x=x, color=alt.value(COLOURS[0]))
    chart = (figures.zero_line() + interval + point).properties(width=480, height=max(60, 34 * len(data)))
    note = f"{section.challenger} minus each opponent, same users, with 95 % intervals. Right of zero the challenger is better."
    return [Chart("verdict", "Size of the difference", note, figures.finished(chart))]
