"""Claim: the article's ladder ranks better with the preset `default` than with the article's own numbers.

    python benchmarks/ladder.py TRANSITIONS.h5 [seeds, default 1] [learner, …]

Every learner is trained with the product's trainer as the shipped profile trains, in three ways: preset `article` with its
recipe, preset `default`, and that with critics that order the 50 items nearest to its action (Wolpertinger). Chosen on
validation users, judged once on test users; columns as in ablation.py.
"""

import sys
from typing import Any

from ablation import HEAD, judged, judges_given, row, trained_by

from flows.parameters import profile_values
from models.learners import LADDER
from tasks.train import TrainParams

WAYS: dict[str, dict[str, Any]] = {"article": {}, "default": {}, "default, critics' order": {"critic_candidates": 50}}


def params(way: str, name: str) -> TrainParams:
    """What a learner is trained with."""
    values = profile_values("ml-latest-small")["train"]
    return TrainParams.model_validate(values | {"preset": way.partition(",")[0], name: WAYS[way]})


def main() -> None:
    """Measure and print a table in Markdown."""
    if len(sys.argv) < 2:
        print(__doc__)
        return
    judges, wanted = judges_given(seeds=1)
    print(HEAD)
    for name in wanted or LADDER:
        for way, changes in WAYS.items():
            if changes and name == "policy_learning":
                continue  # it has no critics
            given = params(way, name)
            policies, spent = trained_by(judges, getattr(given, name), given)
            print(f"| {name}, {way} {row(judged(judges[0].data, policies), spent)}", flush=True)


if __name__ == "__main__":
    main()
