"""Off-policy estimates of the value of recommendations."""

from evaluation.report.evidence import Evidence
from evaluation.report.section import Section
from evaluation.report.sections.off_policy.charts import draw
from evaluation.report.sections.off_policy.numbers import OffPolicySection, measure_off_policy


def measure(evidence: Evidence) -> OffPolicySection:
    """The estimates of every method."""
    return measure_off_policy(
        evidence.data,
        evidence.scorers,
        evidence.params.off_policy,
        baselines=evidence.baselines,
        truth=None if evidence.subject.simulated is None else evidence.subject.simulated.true_rewards,
    )


SECTION = Section(
    __name__,
    label="Off-policy value",
    description="Off-policy estimates of the value of recommendations.",
    model=OffPolicySection,
    measure=measure,
    charts=draw,
    optional=True,
)
