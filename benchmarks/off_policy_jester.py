"""Claim: on real ratings DR without a warning is right if choices depend on what an estimator can see, and too high if not.

    MARQUEE_REAL_DATA=FOLDER python benchmarks/off_policy_jester.py [--seeds N, default 5]

FOLDER/jester-1/jester-data-1.zip has 7,200 users who rated all 100 jokes, so what each would say of any joke is known. Logs of
30 jokes per user are made from them (tests/unit/evaluation/off_policy/jester_support.py): by `history`, which looks at what an
estimator can see, and by `taste`, which also looks at the rating that the user is going to give. Their probabilities are known,
and also estimated by the project's behaviour model. Ratings go from -10 to 10. The truth of one step is the mean over the
logged steps of all test users; estimates are made from 250 of them, and their intervals should cover it in 95 % of the seeds.
FQE's truth is of ten steps, found by following the policy.
"""

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from unit.evaluation.off_policy.jester_support import (
    STEPS,
    Behaviour,
    Jester,
    followed,
    make_log,
    read_jester,
    target_policies,
    true_value,
)

from evaluation.off_policy.estimates import OffPolicyParams, evaluate_off_policy
from evaluation.report.sections.off_policy.numbers import warning
from models.off_policy.estimators import Value

ESTIMATORS = {"DR": "doubly_robust", "SNIPS": "importance", "DM": "direct", "FQE": "fitted_q"}
LIMIT = 0.5  # in ratings: a fortieth of the scale
BASELINES = ("popularity", "content similarity", "ease", "biased-mf")
BEHAVIOURS: tuple[Behaviour, ...] = ("history", "taste")


class Found(NamedTuple):
    """One estimate, in ratings."""

    known: bool
    policy: str
    estimator: str
    estimate: Value
    truth: float
    warned: bool

    @property
    def error(self) -> float:
        """Estimate less truth."""
        return self.estimate.value - self.truth

    @property
    def covers(self) -> bool:
        """Whether the interval holds the truth."""
        return self.estimate.low <= self.truth <= self.estimate.high


def estimates(jester: Jester, behaviour: Behaviour, seed: int, folder: Path) -> Iterator[Found]:
    """All estimates of all policies from one log, and the truth."""
    log = make_log(folder, jester, behaviour, seed)
    data, policies = log.dataset, target_policies(log, *BASELINES)
    params = OffPolicyParams(draws=300, seed=seed)
    starts = data.last_starts("test", STEPS)
    one_step = {name: true_value(log, scorer, params, starts) for name, scorer in policies.items()}
    ten_steps = {
        name: followed(log, scorer, params, starts[seed::10].contiguous()) for name, scorer in policies.items()
    }
    for known in (True, False):
        result = evaluate_off_policy(data, policies, params, log_propensities=log.log_propensities if known else None)
        assert result is not None  # noqa: S101
        for name, evaluated in result.evaluated.items():
            warned = warning(evaluated.estimates, evaluated.support, params, data.scale, data.reward) is not None
            for label, field in ESTIMATORS.items():
                truth = (ten_steps if label == "FQE" else one_step)[name]
                values = (*getattr(evaluated.estimates, field), truth)
                *value, true = ((reward - data.reward.offset) / data.reward.scale for reward in values)
                yield Found(known, name, label, Value(*value), true, warned)


def print_first(found: list[Found]) -> None:
    """A row for each policy and estimator of one log."""
    print("| policy | estimator | estimate | 95 % interval | truth | error | covered |\n|---|---|---|---|---|---|---|")
    for one in found:
        interval = f"{one.estimate.low:+.2f} … {one.estimate.high:+.2f}"
        print(
            f"| {one.policy} | {one.estimator} | {one.estimate.value:+.2f} | {interval} | {one.truth:+.2f} "
            f"| {one.error:+.2f} | {'yes' if one.covers else 'no'} |"
        )


def print_all(found: list[Found], seeds: int) -> float | None:
    """A row for each policy over all logs: the truth, mean errors, how often the interval covers the truth, and warnings.

    Returns:
        DR's largest mean error of a policy without a warning; None if each has one.
    """
    print(
        f"| policy | truth | {' | '.join(f'{one}: mean error, covered' for one in ESTIMATORS)} | logs with a warning |"
    )
    print("|---" * (len(ESTIMATORS) + 3) + "|")
    by_policy: dict[str, dict[str, list[Found]]] = defaultdict(lambda: defaultdict(list))
    for one in found:
        by_policy[one.policy][one.estimator].append(one)
    trusted: list[float] = []
    for policy, columns in by_policy.items():
        errors = {name: float(np.mean([one.error for one in ones])) for name, ones in columns.items()}
        cells = [f"{errors[name]:+.2f}, {sum(one.covers for one in ones)} of {seeds}" for name, ones in columns.items()]
        truth = np.mean([one.truth for one in columns["DR"]])
        warned = sum(one.warned for one in columns["DR"])
        print(f"| {policy} | {truth:+.2f} | {' | '.join(cells)} | {warned} of {seeds} |", flush=True)
        trusted += [] if warned else [abs(errors["DR"])]
    return max(trusted, default=None)


def main() -> None:
    """Measure and print; exit code 1 if DR's mean error of a policy without a warning, logged by `history`, is above LIMIT."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    given: Any = parser.parse_args()
    torch.set_num_threads(1)
    jester = read_jester(Path(os.environ["MARQUEE_REAL_DATA"], "jester-1", "jester-data-1.zip"))
    print(f"{len(jester.ratings):,} users who rated all {len(jester.vectors)} jokes; {given.seeds} logs each")
    largest: dict[tuple[Behaviour, bool], float | None] = {}
    with tempfile.TemporaryDirectory() as folder:
        for behaviour in BEHAVIOURS:
            logs = [list(estimates(jester, behaviour, seed, Path(folder))) for seed in range(given.seeds)]
            for known in (True, False):
                print(f"\nlogged by {behaviour}, propensities {'known' if known else 'estimated'}\n")
                if known and behaviour == "history":
                    print_first([one for one in logs[0] if one.known])
                    print()
                largest[behaviour, known] = print_all(
                    [one for log in logs for one in log if one.known == known], given.seeds
                )
    print("\nDR's largest mean error of a policy without a warning, in ratings:")
    for (behaviour, known), error in largest.items():
        shown = "each has a warning" if error is None else f"{error:.2f}"
        print(f"  logged by {behaviour}, propensities {'known' if known else 'estimated'}: {shown}")
    sys.exit(any((largest["history", known] or 0.0) > LIMIT for known in (True, False)))


if __name__ == "__main__":
    main()
