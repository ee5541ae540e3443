"""The expectations on later events: they are like the events of the dataset that they extend."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import great_expectations as gx


def drift_suite() -> "gx.ExpectationSuite":
    """Critical: the population stability index is at most `fail_above`. Warning: it is at most `warn_above`.

    The table has a row per measure, with its index and both limits.
    """
    import great_expectations as gx
    import great_expectations.expectations as gxe

    def at_most(limit: str, severity: str, why: str) -> gxe.ExpectColumnPairValuesAToBeGreaterThanB:
        return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A=limit, column_B="psi", or_equal=True, severity=severity, notes=why
        )

    return gx.ExpectationSuite(
        name="drift",
        meta={"identify": ["measure", "psi", "by_chance", "warn_above", "fail_above"]},
        expectations=[
            at_most("fail_above", "critical", "Later events differ so much that a person should look at them first."),
            at_most("warn_above", "warning", "Later events differ from those before."),
        ],
    )
