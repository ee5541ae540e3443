"""Tests between methods on the same users: one method against all others, the best policy against the best baseline."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from evaluation.protocols.cases import Protocol
from evaluation.protocols.metrics import COMPARED
from evaluation.protocols.statistics import bootstrap_intervals, holm, sign_flip_test
from evaluation.record import Record
from storage.dataset.format import Split

if TYPE_CHECKING:  # it imports this module
    from evaluation.report.sections.methods.numbers import EvaluatedMethod, Kind

ALPHA = 0.05


class Comparison(Record):
    """The challenger's mean minus that of another method, over the same users."""

    challenger: str
    other: str
    split: Split
    protocol: Protocol
    metric: str
    difference: float
    low: float = Field(description="Lower end of the 95 % interval of the paired bootstrap over users.")
    high: float = Field(description="Upper end of it.")
    p: float = Field(description="Two-sided sign-flip randomisation test.")
    p_adjusted: float = Field(
        description="After Holm's correction over all other methods on this split, protocol and metric."
    )

    @property
    def outcome(self) -> str:
        """The result of the test: better, worse or no difference shown."""
        if self.p_adjusted >= ALPHA:
            return "no difference shown"
        return "better" if self.difference > 0 else "worse"


def compare_methods(
    challenger: "EvaluatedMethod", others: Sequence["EvaluatedMethod"], seed: int = 0
) -> list[Comparison]:
    """Test the challenger against every other method by each metric of `COMPARED`, paired by user.

    Raises:
        ValueError: the methods were not evaluated on the same users.
    """
    mine, split, protocol = challenger.per_user, challenger.result.split, challenger.result.protocol
    for other in others:
        if not np.array_equal(mine.users, other.per_user.users):
            raise ValueError(
                f"{challenger.result.name} and {other.result.name}: expected values of the same users; found different users. "
                "Evaluate both on the same cases."
            )
    if not others or not len(mine.users):
        return []
    shape = len(others), len(mine.names)
    columns = np.concatenate([mine.values - other.per_user.values for other in others], axis=1)
    there = ~np.isnan(columns)
    differences = (np.nansum(columns, axis=0) / np.maximum(there.sum(axis=0), 1)).reshape(shape)
    ends = bootstrap_intervals(columns, seed).reshape(*shape, 2)
    p = sign_flip_test(columns, seed).reshape(shape)
    adjusted = np.apply_along_axis(holm, 0, p)
    return [
        Comparison(
            challenger=challenger.result.name,
            other=other.result.name,
            split=split,
            protocol=protocol,
            metric=metric,
            difference=float(differences[row, column]),
            low=float(ends[row, column, 0]),
            high=float(ends[row, column, 1]),
            p=float(p[row, column]),
            p_adjusted=float(adjusted[row, column]),
        )
        for column, metric in enumerate(mine.names)
        for row, other in enumerate(others)
        if there[:, row * shape[1] + column].any()
    ]


def compare_best(group: Sequence["EvaluatedMethod"], known: Sequence[Comparison], seed: int) -> list[Comparison]:
    """Compare the best policy with the best baseline, by the first metric; empty without one of them.

    Args:
        group: all methods on one split and protocol.
        known: comparisons that were made already.
        seed: of the test.
    """
    first = COMPARED[group[0].result.protocol][0]

    def best(*kinds: "Kind") -> "EvaluatedMethod | None":
        those = [one for one in group if one.result.kind in kinds]
        return max(those, key=lambda one: one.result.value(first), default=None)

    policy, baseline = best("policy", "champion"), best("baseline")
    if policy is None or baseline is None:
        return []
    where = policy.result.name, baseline.result.name, policy.result.split, policy.result.protocol, first

    def wanted(found: Sequence[Comparison]) -> list[Comparison]:
        return [one for one in found if (one.challenger, one.other, one.split, one.protocol, one.metric) == where]

    return wanted(known) or wanted(compare_methods(policy, [one for one in group if one is not policy], seed))
