"""The verdict: is the challenger better."""

from evaluation.report.evidence import Evidence
from evaluation.report.section import Section
from evaluation.report.sections.verdict.charts import draw
from evaluation.report.sections.verdict.numbers import VerdictSection, measure_verdict, training_cautions


def measure(evidence: Evidence) -> VerdictSection:
    """The verdict on the challenger, with all warnings."""
    subject, methods = evidence.subject, evidence.methods
    cautions = [*subject.cautions, *training_cautions(subject, methods.challenger)]
    return measure_verdict(methods, cautions, subject.comparison)


SECTION = Section(
    __name__,
    label="Verdict",
    description="Whether the challenger is better, by how much, and how certain that is.",
    model=VerdictSection,
    measure=measure,
    charts=draw,
)
