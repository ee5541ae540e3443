"""All sections of the report, in the order of the page. A new section is its folder, its import and its place here."""

from evaluation.report.section import Section
from evaluation.report.sections import (
    actions,
    cards,
    distances,
    embedding_map,
    environment,
    examples,
    methods,
    off_policy,
    popularity,
    training,
    verdict,
)

SECTIONS: tuple[Section, ...] = (
    verdict.SECTION,
    methods.SECTION,
    environment.SECTION,
    examples.SECTION,
    popularity.SECTION,
    embedding_map.SECTION,
    off_policy.SECTION,
    actions.SECTION,
    distances.SECTION,
    training.SECTION,
    cards.SECTION,
)
OPTIONAL = tuple(section.name for section in SECTIONS if section.optional)
