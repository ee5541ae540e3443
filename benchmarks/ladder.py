"""Claim: the article's ladder ranks better with the preset `default` than with the article's own numbers.

    python benchmarks/ladder.py TRANSITIONS.h5 [seeds, default 1] [learner, …]

Every learner is trained with the product's trainer as the shipped profile trains, in three ways: preset `article` with its
recipe, preset `default`, and that with critics that order the 50 items nearest to its action (Wolpertinger). Chosen on
validation users, judged once on test users; columns as in ablation.py.
"""

import sys
import time
from pathlib import Path
from typing import Any

import torch
from ablation import HEAD, Judge, judged, trained

from flows.parameters import profile_values
from models.learners import LADDER
from storage.transitions import TransitionDataset
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
    torch.set_num_threads(1)
    data = TransitionDataset.open(Path(sys.argv[1]))
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    judges = [Judge(data, seed) for seed in range(seeds)]
    print(HEAD)
    for name in sys.argv[3:] or LADDER:
        for way, changes in WAYS.items():
            if changes and name == "policy_learning":
                continue  # it has no critics
            given, began = params(way, name), time.perf_counter()
            policies = [trained(data, getattr(given, name), judge, seed, given) for seed, judge in enumerate(judges)]
            spent = (time.perf_counter() - began) / seeds
            print(f"| {name}, {way} {judged(data, policies, spent)}", flush=True)


if __name__ == "__main__":
    main()
