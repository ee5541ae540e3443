"""The verdict: is the challenger better."""

from evaluation.report.evidence import Evidence
from evaluation.report.section import Section
from evaluation.report.sections.environment.numbers import EnvironmentSection
from evaluation.report.sections.verdict.answers import measure_answers
from evaluation.report.sections.verdict.charts import draw
from evaluation.report.sections.verdict.critics import measure_critics
from evaluation.report.sections.verdict.numbers import VerdictSection, measure_verdict, training_cautions


def measure(evidence: Evidence) -> VerdictSection:
    """The verdict on the challenger, with all warnings; the answers to three questions; the part of the critics."""
    subject, methods = evidence.subject, evidence.methods
    cautions = [*subject.cautions, *training_cautions(subject, methods.challenger)]
    found = measure_verdict(methods, cautions, subject.comparison)
    returns = evidence.measured.get("environment")
    assert returns is None or isinstance(returns, EnvironmentSection)  # noqa: S101
    critics = None
    if (name := methods.challenger) is not None and evidence.shown is not None:
        uncritical = None if returns is None else returns.without_critics
        critics = measure_critics(evidence.data, name, evidence.scorers[name], evidence.shown.cases, uncritical)
    return found.model_copy(update={"answers": measure_answers(methods, returns), "critics": critics})


SECTION = Section(
    __name__,
    label="Verdict",
    description="Whether the challenger is better, by how much, and how certain that is; who is best by other questions.",
    model=VerdictSection,
    measure=measure,
    charts=draw,
    sums_up=True,
)
