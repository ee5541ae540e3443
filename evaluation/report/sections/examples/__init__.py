"""Some test users and the recommendations of each method to them."""

import numpy as np

from evaluation.report.evidence import Evidence
from evaluation.report.section import Section
from evaluation.report.sections.examples.numbers import ExamplesSection, measure_examples, open_methods


def measure(evidence: Evidence) -> ExamplesSection:
    """Examples of test users; none without test users."""
    shown, params = evidence.shown, evidence.params
    known = np.empty((0, 2), np.int64) if shown is None else shown.cases.known.cpu().numpy()
    return measure_examples(
        evidence.data,
        evidence.subject.titles,
        known,
        shown.best if shown else {},
        open_methods(evidence.methods) if shown else (),
        params.examples if shown else 0,
        params.k,
        params.seed,
    )


SECTION = Section(
    __name__,
    label="Examples",
    description="Some test users and the recommendations of each method to them.",
    model=ExamplesSection,
    measure=measure,
    charts=lambda section: [],
)
