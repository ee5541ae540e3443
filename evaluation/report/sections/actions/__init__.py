"""Comparison of the policies' actions with logged actions."""

from evaluation.report.evidence import Evidence
from evaluation.report.section import Section
from evaluation.report.sections.actions.charts import draw
from evaluation.report.sections.actions.numbers import ActionsSection, measure_actions


def measure(evidence: Evidence) -> ActionsSection:
    """The actions of every policy that has actions."""
    return measure_actions(evidence.data, evidence.acting, evidence.params.sample, evidence.params.seed)


SECTION = Section(
    __name__,
    label="Actions",
    description="Comparison of the policies' actions with logged actions.",
    model=ActionsSection,
    measure=measure,
    charts=draw,
    optional=True,
)
