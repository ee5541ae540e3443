"""Ranking by the article's eight distances, and the diversity of lists."""

from evaluation.report.evidence import Evidence
from evaluation.report.section import Section
from evaluation.report.sections.distances.charts import draw
from evaluation.report.sections.distances.numbers import DistancesSection, measure_distances


def measure(evidence: Evidence) -> DistancesSection:
    """The rankings by every distance, and the diversity of every method's lists."""
    params = evidence.params
    return measure_distances(
        evidence.data, evidence.acting, evidence.scorers, params.distance_cases, params.seed, evidence.baselines
    )


SECTION = Section(
    __name__,
    label="Distances",
    description="Ranking by the article's eight distances.",
    model=DistancesSection,
    measure=measure,
    charts=draw,
    optional=True,
)
