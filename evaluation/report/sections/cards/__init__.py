"""The dataset card, the model cards, the tuning of the baselines, and the provenance."""

from evaluation.protocols.validation import CRITERION
from evaluation.report.evidence import Evidence
from evaluation.report.section import Section
from evaluation.report.sections.cards.charts import draw
from evaluation.report.sections.cards.dataset_card import dataset_card
from evaluation.report.sections.cards.numbers import CardsSection, model_card, tunings


def measure(evidence: Evidence) -> CardsSection:
    """Describe the dataset, the policies and the baselines."""
    subject, kinds = evidence.subject, {one.name: one.kind for one in evidence.compared_methods}
    return CardsSection(
        dataset=dataset_card(evidence.data, subject.dataset),
        models=tuple(model_card(name, kinds[name], manifest) for name, manifest in subject.policies.items()),
        baselines=tunings(subject.tuning, CRITERION),
        provenance=subject.provenance,
        drift=tuple(subject.drift),
    )


SECTION = Section(
    __name__,
    label="Cards and provenance",
    description="Dataset card, model cards, tuning of the baselines, provenance.",
    model=CardsSection,
    measure=measure,
    charts=draw,
)
