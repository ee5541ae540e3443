"""Claim: the baselines that are trained, and what `ranking` wins by, are tuned on validation users, as what is fit is.

    python benchmarks/search.py TRANSITIONS.h5 [fitted | ranking | gru4rec | sasrec | reward_actor_critic | ddpg | td3 | td3_bc …]

One hyper-parameter after another: all values of it, the best so far of the others; the best NDCG@10 on the
validation users, whom checkpoints are chosen on too, stays. `fitted` are the terms of the ranking learner that need no
training. Prints every candidate, the best of each kind and where it differs from the default.
"""

import sys
import time
from pathlib import Path
from typing import Any

import torch
from ablation import Judge, trained

from evaluation.protocols.validation import CRITERION
from models.histories import Scorer
from models.learners import LearnerConfig
from models.learners.ddpg import DDPGConfig
from models.learners.ranking_config import Gru4RecConfig, RankingConfig, SasRecConfig
from models.learners.reward_actor_critic import RewardActorCriticConfig
from models.learners.td3 import TD3Config
from models.learners.td3_bc import TD3BCConfig
from models.ranking_policy import RankingPolicy
from storage.dataset.reader import TransitionDataset
from tasks.learning import make_learning

Grid = dict[str, tuple[Any, ...]]
SEQUENTIAL: Grid = {
    "learning_rate": (5e-4, 1e-3, 2e-3),
    "policy.dropout": (0.3, 0.5, 0.1),
    "item_decay": (1e-3, 1e-2),
}
RATES: Grid = {"actor_learning_rate": (1e-5, 3e-4, 3e-6), "critic_learning_rate": (1e-5, 1e-4, 3e-4)}
LADDER: Grid = RATES | {"discount": (0.99, 0.9, 0.5)}
FITTED: Grid = {
    "kernel.ridge": (100.0, 30.0, 300.0, 1000.0),
    "kernel.backward": (0.3, 0.0, 0.1, 1.0),
    "kernel.popularity_power": (0.15, 0.0, 0.3),
    "kernel.fade": (0.78, 0.6, 0.9),
    "kernel.window": (20, 10, 40),
    "kernel.min_count": (3, 1, 5),
    "policy.transitions_fade": (0.78, 0.6, 0.9),
    "policy.content": (4.0, 0.0, 2.0, 8.0),
    "policy.content_fade": (0.7, 0.5, 0.85),
}
KINDS: dict[str, tuple[LearnerConfig, Grid]] = {
    "fitted": (RankingConfig(), FITTED),
    "ranking": (RankingConfig(), {"learning_rate": (5e-4, 1e-3, 2e-3), "item_decay": (1e-3, 0.1, 1.0)}),
    "gru4rec": (Gru4RecConfig(), SEQUENTIAL),
    "sasrec": (SasRecConfig(), SEQUENTIAL),
    "reward_actor_critic": (RewardActorCriticConfig(), RATES),
    "ddpg": (DDPGConfig(), LADDER),
    "td3": (TD3Config(), LADDER),
    "td3_bc": (TD3BCConfig(), {"alpha": (2.5, 0.1, 0.5, 10.0)} | LADDER),
}


def changed(config: LearnerConfig, name: str, value: Any) -> LearnerConfig:
    """The same with one value, whose name may have a dot, set."""
    values = config.model_dump()
    place, _, last = name.rpartition(".")
    (values[place] if place else values)[last] = value
    return type(config).model_validate(values)


def untrained(data: TransitionDataset, config: LearnerConfig) -> Scorer:
    """The fitted terms of a ranking learner's policy alone."""
    policy = make_learning(config, data, 1, "cosine", "cpu", 0).policy
    assert isinstance(policy, RankingPolicy)  # noqa: S101
    alone = {"fitted": 1.0, "actor": 0.0, "popularity": 0.0, "critic_mix": 0.0}
    policy.params = policy.params.model_copy(update=alone)
    return policy


def search(kind: str, judge: Judge) -> None:
    """Tune one kind; prints as it goes."""
    config, grid = KINDS[kind]
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
            made = untrained(judge.data, candidate) if fitted else trained(candidate, judge)
            found = judge.metrics(made)[CRITERION]
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
    judge = Judge(TransitionDataset.open(Path(sys.argv[1])), 0)
    for kind in sys.argv[2:] or KINDS:
        search(kind, judge)


if __name__ == "__main__":
    main()
