"""The return of every method with simulated users: those that the ratings are from, or users fitted to them."""

from evaluation.fitted_dataset import FittedDataset
from evaluation.report.evidence import Evidence
from evaluation.report.section import Section
from evaluation.report.sections.environment.charts import draw
from evaluation.report.sections.environment.numbers import EnvironmentSection, measure_environment
from evaluation.report.sections.environment.simulation import fitted_simulation, known_simulation


def measure(evidence: Evidence) -> EnvironmentSection | None:
    """The returns of every method and of the controls; None if there are too few users."""
    params = evidence.params.environment
    if evidence.subject.simulated is not None:
        simulation = known_simulation(evidence.subject.simulated)
    elif FittedDataset.can_be_fitted(evidence.data):
        simulation = fitted_simulation(FittedDataset(evidence.data, params.fitted), params.strengths)
    else:
        return None
    return measure_environment(
        simulation,
        evidence.scorers,
        params,
        baselines=evidence.baselines,
        ndcg=evidence.methods.ndcg_of_test_users,
        challenger=evidence.methods.challenger,
    )


SECTION = Section(
    __name__,
    label="Return with simulated users",
    description="The return of every method with simulated users: those that the ratings are from, or users fitted to them.",
    model=EnvironmentSection,
    measure=measure,
    charts=draw,
    optional=True,
)
