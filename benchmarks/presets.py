"""Claim: learners from transitions rank better with the preset `default` than with the preset `article`.

    python benchmarks/presets.py TRANSITIONS.h5 [seeds, default 1] [learner, …]

Every learner is trained as in the profile ml-latest-small, in three variants: preset `article`, preset `default`, and `default`
with critics that re-rank the 50 items nearest to the action (Wolpertinger). Policies are selected on validation users and
evaluated once on test users; columns as in ablation.py.
"""

import sys
from typing import Any

from ablation import HEAD, evaluated, evaluators_given, row, trained_by

from flows.parameters import profile_values
from models.learners.registry import LEARNERS, TRANSITION_LEARNERS
from tasks.train import TrainParams

VARIANTS: dict[str, dict[str, Any]] = {
    "article": {},
    "default": {},
    "default, re-ranked by the critics": {"critic_candidates": 50},
}


def params(variant: str, name: str) -> TrainParams:
    """The training parameters of a learner in a variant."""
    values = profile_values("ml-latest-small")["train"]
    return TrainParams.model_validate(values | {"preset": variant.partition(",")[0], name: VARIANTS[variant]})


def main() -> None:
    """Measure and print a table in Markdown."""
    if len(sys.argv) < 2:
        print(__doc__)
        return
    evaluators, wanted = evaluators_given(seeds=1)
    print(HEAD)
    for name in wanted or TRANSITION_LEARNERS:
        for variant, changes in VARIANTS.items():
            if not set(changes) <= set(LEARNERS[name].config.model_fields):
                continue  # it has no critics
            given = params(variant, name)
            policies, spent = trained_by(evaluators, given.config_of(name), given)
            print(f"| {name}, {variant} {row(evaluated(evaluators[0].data, policies), spent)}", flush=True)


if __name__ == "__main__":
    main()
