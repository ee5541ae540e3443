"""The chart of the distribution of ratings."""

import altair as alt
import pandas as pd

from evaluation.report import figures
from evaluation.report.figures import COLOURS, Chart
from evaluation.report.sections.cards.numbers import CardsSection


def draw(section: CardsSection) -> list[Chart]:
    """The share of every rating."""
    data = pd.DataFrame([count.model_dump() for count in section.dataset.ratings], columns=["rating", "events"])
    if data.empty:
        return []
    data["share"] = data["events"] / data["events"].sum()
    chart = (
        alt.Chart(data)
        .mark_bar(color=COLOURS[0])
        .encode(
            x=alt.X("rating:O", title="rating", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("share:Q", title="share of events", axis=alt.Axis(format="%")),
            tooltip=["rating:O", *figures.numbers("events", format=","), *figures.numbers("share", format=".1%")],
        )
        .properties(width=330, height=180)
    )
    return [Chart("ratings", "Ratings", "The share of each rating, over all events.", figures.finished(chart))]
