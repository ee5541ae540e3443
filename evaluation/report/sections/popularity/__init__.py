"""Popularity bias, and items without training events."""

from evaluation.report.section import Section
from evaluation.report.sections.popularity.charts import draw
from evaluation.report.sections.popularity.numbers import PopularitySection

SECTION = Section(
    __name__,
    label="Popularity bias",
    description="The popularity of the recommended items, by user group; items without training events.",
    model=PopularitySection,
    measure=lambda evidence: PopularitySection(views=tuple(evidence.popularity)),
    charts=draw,
)
