"""The catalogue in the plane, and the challenger's recommendations on it."""

from evaluation.report.evidence import Evidence
from evaluation.report.section import Section
from evaluation.report.sections.embedding_map.charts import draw
from evaluation.report.sections.embedding_map.numbers import EmbeddingMapSection, measure_embedding_map


def measure(evidence: Evidence) -> EmbeddingMapSection | None:
    """The map with the challenger's lists for test users; None without a challenger or test users."""
    challenger, shown, subject, params = evidence.methods.challenger, evidence.shown, evidence.subject, evidence.params
    if challenger is None or shown is None:
        return None
    return measure_embedding_map(
        challenger,
        shown.best[challenger],
        evidence.data.embedding.cpu().numpy(),
        evidence.facts.events,
        subject.titles,
        subject.groups,
        params.map_projection,
        params.map_points,
        params.seed,
    )


SECTION = Section(
    __name__,
    label="Map",
    description="The catalogue in the plane.",
    model=EmbeddingMapSection,
    measure=measure,
    charts=draw,
    optional=True,
)
