"""Training curves and early warnings."""

from evaluation.report.evidence import Evidence
from evaluation.report.section import Section
from evaluation.report.sections.training.charts import draw
from evaluation.report.sections.training.numbers import TrainingSection, measure_training


def measure(evidence: Evidence) -> TrainingSection:
    """The training of every policy."""
    subject = evidence.subject
    warnings = {name: manifest.facts.get("warnings") for name, manifest in subject.policies.items()}
    return measure_training(subject.curves, warnings)


SECTION = Section(
    __name__,
    label="Training",
    description="Training curves and early warnings.",
    model=TrainingSection,
    measure=measure,
    charts=draw,
)
