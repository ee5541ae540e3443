"""Claim: an estimate without a warning is within a quarter of a star of the truth, on generated data whose truth is known.

    python benchmarks/off_policy.py

Errors in stars of seven policies on four samples of 600 users, least and most: of DR, SNIPS, DM and the mean logged rating
against the true value of one step, of FQE against the true value of ten, found by following the policy. Then what the least
effective number of users was chosen by: how far DR's errors on samples of 60 to 600 users lie from each policy's median error;
and what effective steps tell beside it, of estimates of at least that number.
"""

import sys
import tempfile
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles

import torch

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from unit.evaluation.off_policy.off_policy_support import STEADY, Generated, followed, generated, known_policies

from evaluation.off_policy.estimates import OffPolicyParams, evaluated_starts
from evaluation.report.sections.off_policy.numbers import OffPolicySection, PolicyValue, measure_off_policy
from tasks.sample import SampleParams

PARAMS = OffPolicyParams(draws=200)
SAMPLES = {600: range(7, 11), 240: range(11, 21), 120: range(11, 21), 60: range(11, 21)}  # users: seeds
USERS = (0, 5, 10, 20, 40, 80, 250)
STEPS = (0, 50, 100, 5000)
WITHIN = 0.25


def sampled(folder: Path, users: int, seed: int) -> tuple[Generated, OffPolicySection]:
    """A sample and what is said of all policies."""
    data = generated(folder, SampleParams(users=users, movies=250, mechanics=STEADY, seed=seed))
    return data, measure_off_policy(data.dataset, known_policies(data), PARAMS, truth=data.simulated.true_rewards)


def number(value: float | None) -> float:
    """Of a value that may be missing."""
    return float("nan") if value is None else value


def robust_error(policy: PolicyValue) -> float:
    """Of DR."""
    return number(policy.doubly_robust.value) - number(policy.true_value)


def errors(data: Generated, section: OffPolicySection) -> dict[str, list[float]]:
    """By policy, in the columns' order."""
    starts, policies = evaluated_starts(data.dataset, PARAMS), known_policies(data)
    found = {}
    for policy in section.policies:
        true = number(policy.true_value)
        one_step = (policy.doubly_robust, policy.importance, policy.direct)
        ten_steps = followed(data, policies[policy.name], PARAMS, starts)
        found[policy.name] = [
            *(number(each.value) - true for each in one_step),
            number(policy.fitted_q.value) - ten_steps,
            number(section.logged.value if section.logged else None) - true,
            number(policy.correction.value),
        ]
    return found


def print_errors(samples: list[tuple[Generated, OffPolicySection]]) -> list[float]:
    """A row for each policy; the errors of all four estimators where no warning is given."""
    columns = ("policy", "DR", "SNIPS", "DM", "FQE, ten steps", "mean logged rating", "DR − DM", "warned of")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    every, trusted = [errors(*one) for one in samples], []
    for place, name in enumerate(every[0]):
        spans = [
            f"{min(column):+.2f} … {max(column):+.2f}" for column in zip(*(one[name] for one in every), strict=True)
        ]
        silent = [found for found, (_, one) in zip(every, samples, strict=True) if one.policies[place].warning is None]
        trusted += [error for found in silent for error in found[name][:4]]
        print(f"| {' | '.join([name, *spans])} | {len(samples) - len(silent)} of {len(samples)} |")
    return trusted


def print_users(policies: list[PolicyValue]) -> None:
    """A row for each range of effective users."""
    by_name = defaultdict(list)
    for policy in policies:
        by_name[policy.name].append(robust_error(policy))
    usual = {name: median(found) for name, found in by_name.items()}
    print("\n| effective users | estimates | nine in ten lie within, of the policy's median error |\n|---|---|---|")
    for least, most in pairwise(USERS):
        off = [abs(robust_error(one) - usual[one.name]) for one in policies if least <= one.effective_users < most]
        print(f"| {least} to {most} | {len(off)} | {quantiles(off, n=10)[-1]:.2f} |")


def print_steps(policies: list[PolicyValue]) -> None:
    """A row for each range of effective steps."""
    enough = [one for one in policies if one.effective_users >= PARAMS.least_effective]
    print(f"\n| effective steps | estimates | off by more than {WITHIN} | not warned of |\n|---|---|---|---|")
    for least, most in pairwise(STEPS):
        found = [one for one in enough if least <= one.effective_steps < most]
        off = sum(abs(robust_error(one)) > WITHIN for one in found) / len(found)
        silent = sum(one.warning is None for one in found)
        print(f"| {least} to {most} | {len(found)} | {off:.0%} | {silent} |")


def main() -> None:
    """Measure and print; exit code 1 where an estimate without a warning is too far off."""
    torch.set_num_threads(1)
    large: list[tuple[Generated, OffPolicySection]] = []
    policies: list[PolicyValue] = []
    with tempfile.TemporaryDirectory() as folder:
        for users, seeds in SAMPLES.items():
            for seed in seeds:
                data, section = sampled(Path(folder) / f"{users}-{seed}", users, seed)
                policies += section.policies
                if users == max(SAMPLES):
                    large.append((data, section))
        trusted = print_errors(large)
        print_users(policies)
        print_steps(policies)
    print(
        f"\n{len(trusted)} estimates of the first table without a warning: {min(trusted):+.2f} … {max(trusted):+.2f} stars"
    )
    sys.exit(max(map(abs, trusted)) > WITHIN)


if __name__ == "__main__":
    main()
