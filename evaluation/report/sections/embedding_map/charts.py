"""The map of the catalogue."""

import altair as alt
import pandas as pd

from evaluation.report import figures
from evaluation.report.figures import REFERENCE_COLOUR, Chart
from evaluation.report.projection import WAYS
from evaluation.report.sections.embedding_map.numbers import EmbeddingMapSection


def draw(section: EmbeddingMapSection) -> list[Chart]:
    """Items in the plane: a colour per genre, rings around the most recommended items."""
    if not section.points:
        return []
    data = pd.DataFrame([point.model_dump() for point in section.points])
    tooltip = ["title:N", "group:N", alt.Tooltip("events:Q", title="ratings"), alt.Tooltip("lists:Q", title="lists")]
    dots = figures.item_map(data, section.groups, tooltip, "main genre", size=24, opacity=0.7)
    size = alt.Size("lists:Q", title="number of lists", scale=alt.Scale(range=[60, 420]))
    rings = (
        alt.Chart(dots.data)
        .transform_filter("datum.marked")
        .mark_point(filled=False, stroke=REFERENCE_COLOUR, strokeWidth=1.8, opacity=1)
        .encode(x=alt.X("x:Q", axis=None), y=alt.Y("y:Q", axis=None), size=size, tooltip=tooltip)
    )
    note = (
        f"{len(section.points):,} of {section.catalogue:,} items ({WAYS[section.way]}). Colour: an item's rarest genre of the "
        f"common ones. Rings: the items that {section.policy} recommends most, larger for more lists. Hover for titles."
    )
    spec = figures.finished((dots + rings).properties(width=760, height=520))
    return [Chart("embedding-map", "The catalogue in the plane", note, spec)]
