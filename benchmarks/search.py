"""Claim: the learners and the fitted terms of `ranking` are tuned on validation users, as the other baselines are.

    python benchmarks/search.py TRANSITIONS.h5 [fitted | learner …]

Tunes one hyper-parameter after another, with the best values so far of the others, by NDCG@10 on the validation users, who
also select the checkpoints. `fitted` are the terms of `ranking` that need no training. Prints every candidate, the best of
each kind and its differences from the default.
"""

import sys
import time
from pathlib import Path
from typing import Any

import torch
from ablation import Evaluator, Part, trained, without

from evaluation.protocols.validation import CRITERION
from models.histories import Scorer
from models.learners.config import LearnerConfig
from models.learners.registry import LEARNERS
from models.ranking_policy import RankingPolicy
from storage.dataset.reader import TransitionDataset
from tasks.learning import make_learning

Grid = dict[str, tuple[Any, ...]]
# Of these each learner from transitions is tuned over the hyper-parameters that it has.
TRANSITIONS: Grid = {
    "alpha": (2.5, 0.1, 0.5, 10.0),
    "actor_learning_rate": (1e-5, 3e-4, 3e-6),
    "critic_learning_rate": (1e-5, 1e-4, 3e-4),
    "discount": (0.99, 0.9, 0.5),
}
SEQUENCES: Grid = {
    "learning_rate": (5e-4, 1e-3, 2e-3),
    "policy.dropout": (0.3, 0.5, 0.1),
    "item_decay": (1e-3, 1e-2),
}
RANKING: Grid = {"learning_rate": (5e-4, 1e-3, 2e-3), "item_decay": (1e-3, 0.1, 1.0)}
FITTED: Grid = {
    "kernel.ridge": (100.0, 30.0, 300.0, 1000.0),
    "kernel.backward": (0.3, 0.0, 0.1, 1.0),
    "kernel.popularity_power": (0.15, 0.0, 0.3),
    "kernel.decay": (0.78, 0.6, 0.9),
    "kernel.window": (20, 10, 40),
    "kernel.min_count": (3, 1, 5),
    "kernel.association_ridge": (200.0, 50.0, 100.0, 500.0),
    "policy.transitions_decay": (0.78, 0.6, 0.9),
    "policy.content_decay": (0.7, 0.5, 0.85),
}


def kind_of(name: str) -> tuple[LearnerConfig, Grid]:
    """A learner's default hyper-parameters and its grid; `fitted` is `ranking` without training."""
    config = LEARNERS["ranking" if name == "fitted" else name].config.model_validate({})
    if name in ("fitted", "ranking"):
        return config, FITTED if name == "fitted" else RANKING
    if LEARNERS[name].learns_from == "sequences":
        return config, SEQUENCES
    return config, {field: values for field, values in TRANSITIONS.items() if field in type(config).model_fields}


def changed(config: LearnerConfig, name: str, value: Any) -> LearnerConfig:
    """A copy with one value changed; its name may have a dot."""
    values = config.model_dump()
    place, _, last = name.rpartition(".")
    (values[place] if place else values)[last] = value
    return type(config).model_validate(values)


def untrained(evaluator: Evaluator, config: LearnerConfig) -> Scorer:
    """A ranking policy of the fitted terms alone, with tuned weights."""
    policy = make_learning(config, evaluator.data, 1, "cosine", "cpu", 0).policy
    assert isinstance(policy, RankingPolicy)  # noqa: S101
    return evaluator.tuned(policy, Part(without("actor", "popularity"), critic=0.0))


def search(kind: str, evaluator: Evaluator) -> None:
    """Tune one kind; prints as it goes."""
    config, grid = kind_of(kind)
    best, tried = -1.0, set()
    for name, values in grid.items():
        chosen = config
        for value in values:
            candidate = changed(config, name, value)
            if candidate in tried:
                continue
            tried.add(candidate)
            began = time.perf_counter()
            fitted = kind == "fitted"
            made = untrained(evaluator, candidate) if fitted else trained(candidate, evaluator)
            found = evaluator.metrics(made)[CRITERION]
            print(f"{kind} {name}={value}: {CRITERION} {found:.4f}, {time.perf_counter() - began:.0f} s", flush=True)
            if found > best:
                best, chosen = found, candidate
        config = chosen
    print(f"{kind}: best {best:.4f} with {config.model_dump_json(exclude_defaults=True)}", flush=True)


def main() -> None:
    """Tune and print."""
    if len(sys.argv) < 2:
        print(__doc__)
        return
    torch.set_num_threads(1)
    evaluator = Evaluator(TransitionDataset.open(Path(sys.argv[1])), 0)
    for kind in sys.argv[2:] or ("fitted", *LEARNERS):
        search(kind, evaluator)


if __name__ == "__main__":
    main()
