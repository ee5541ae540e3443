"""The return of every method with the simulated users that the ratings are from."""

from evaluation.report.evidence import Evidence
from evaluation.report.section import Section
from evaluation.report.sections.environment.charts import draw
from evaluation.report.sections.environment.numbers import EnvironmentSection, measure_environment


def measure(evidence: Evidence) -> EnvironmentSection | None:
    """The returns of every method and of the controls; None if the ratings are not generated."""
    if evidence.subject.simulated is None:
        return None
    return measure_environment(
        evidence.subject.simulated,
        evidence.scorers,
        evidence.params.environment,
        baselines=evidence.baselines,
        ndcg=evidence.methods.ndcg_of_test_users,
    )


SECTION = Section(
    __name__,
    label="Return with simulated users",
    description="The return of every method with the simulated users that the ratings are from.",
    model=EnvironmentSection,
    measure=measure,
    charts=draw,
    optional=True,
)
