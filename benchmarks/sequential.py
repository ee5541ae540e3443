"""Claim: GRU4Rec and SASRec, the baselines that are trained, are tuned on validation users as the other baselines are.

    python benchmarks/sequential.py TRANSITIONS.h5 [gru4rec | sasrec]

One hyper-parameter after another: all values of it, the best so far of the others; the best NDCG@10 on the validation users, whom
checkpoints are chosen on too, stays. The configurations in models/learners/ranking_config.py are what this found. Prints every
candidate and the best of each.
"""

import sys
import time
from pathlib import Path
from typing import Any

import torch
from ablation import Judge, trained

from evaluation.criterion import CRITERION
from models.learners.ranking_config import Gru4RecConfig, RankingConfig, SasRecConfig
from storage.transitions import TransitionDataset

GRID: dict[str, tuple[Any, ...]] = {
    "learning_rate": (2e-3, 1e-3, 5e-4, 4e-3),
    "policy.dropout": (0.3, 0.5, 0.1),
    "item_decay": (1e-3, 1e-2, 0.0),
    "policy.width": (128, 256, 64),
}
KINDS: dict[str, type[RankingConfig]] = {"gru4rec": Gru4RecConfig, "sasrec": SasRecConfig}


def changed(config: RankingConfig, name: str, value: Any) -> RankingConfig:
    """The same with one value, whose name may have a dot, set."""
    values = config.model_dump()
    place, _, last = name.rpartition(".")
    (values[place] if place else values)[last] = value
    return type(config).model_validate(values)


def main() -> None:
    """Tune and print."""
    if len(sys.argv) < 2:
        print(__doc__)
        return
    torch.set_num_threads(1)
    data = TransitionDataset.open(Path(sys.argv[1]))
    judge = Judge(data, 0)
    for kind in sys.argv[2:] or KINDS:
        config, best, done = KINDS[kind](), -1.0, set()
        for name, values in GRID.items():
            chosen = config
            for value in values:
                tried = changed(config, name, value)
                if (key := tried.model_dump_json()) in done:
                    continue
                done.add(key)
                began = time.perf_counter()
                policy = trained(data, tried, judge, 0)
                found = judge.metrics(policy)[CRITERION]
                print(
                    f"{kind} {name}={value}: {CRITERION} {found:.4f}, {time.perf_counter() - began:.0f} s", flush=True
                )
                if found > best:
                    best, chosen = found, tried
            config = chosen
        print(f"{kind}: best {best:.4f} with {config.model_dump_json(exclude_defaults=True)}", flush=True)


if __name__ == "__main__":
    main()
