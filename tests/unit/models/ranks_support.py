"""Small trainings in float64, in one process or on the ranks of several; the processes import this module."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed
from unit.models.learners_support import CONFIGS
from unit.models.learners_support import learner_of as from_transitions
from unit.models.ranking_support import any_learner_of, pieces, settings_of

from models.batch import Batch, Sequences
from models.learners.registry import LEARNERS
from models.learners.td3 import TD3Config
from models.ranks import from_first, is_first, shared_update
from models.sampling import UniformSampler
from models.trainer import Trainer
from models.trainer_config import TrainerConfig

SEQUENCES = [name for name, entry in LEARNERS.items() if entry.learns_from == "sequences"]
DIVERSE = "td3-diverse"  # its loss depends on pairs of rows
NAMES = [*CONFIGS, *SEQUENCES, DIVERSE]
ROWS, UPDATES, RANKS = 7, 3, 2  # parts of 3 and 4 rows
RESUMED = ("td3", "ranking")
SHORT = TrainerConfig(steps=6, batch_size=ROWS, log_every=2, validate_every=3, checkpoint_every=3)


def learner_named(name: str) -> Any:
    if name in SEQUENCES:
        learner: Any = any_learner_of(settings_of(name))
    else:
        learner = from_transitions(TD3Config(hidden_dim=32, diversity=0.5) if name == DIVERSE else CONFIGS[name])
    for network in learner.networks().values():
        network.double()
    return learner


def batch_of(name: str, seed: int) -> Batch | Sequences:
    if name in SEQUENCES:
        found = pieces(ROWS, seed)
        return found._replace(rewards=found.rewards.double(), terminal=found.terminal.double())
    generator = torch.Generator().manual_seed(seed)
    shapes = (ROWS, 3), (ROWS, 2), (ROWS,), (ROWS, 3), (ROWS,)
    s, a, r, s_next, d = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return Batch(s, a.tanh(), r, s_next, (d > 0).double())


def weights_of(learner: Any) -> list[Tensor]:
    """All numbers of the networks, those of target networks too."""
    networks = learner.networks().values()
    return [value.detach().clone() for network in networks for value in network.state_dict().values()]


def updated(name: str) -> tuple[dict[str, float], list[Tensor]]:
    """The metrics and weights of a learner after some updates."""
    learner = learner_named(name)
    for step in range(UPDATES):
        with shared_update():
            metrics = learner.update(batch_of(name, step))
    return {key: float(value) for key, value in metrics.items()}, weights_of(learner)


def trained(name: str, begin: dict[str, Any] | None = None) -> dict[str, Any]:
    """The checkpoint of update 3 of a run, its metrics table and its last weights; from a checkpoint if one is given."""
    learner = learner_named(name)

    def validate() -> dict[str, float]:
        assert is_first()
        score = float(torch.cat([value.flatten().double() for value in weights_of(learner)]).norm())
        return {"ndcg@10": score, "actor_loss": 0.0}

    sampler = UniformSampler(torch.arange(1000), 1, 0)
    run = Trainer(learner, sampler, lambda start: batch_of(name, int(start)), validate, SHORT)
    if begin is not None:
        run.load_state_dict(begin)
    kept: dict[str, Any] = {}
    run.run(lambda step, rows: None, lambda step, state: kept.setdefault("checkpoint", deepcopy(state)))
    return {**kept, "rows": run.rows, "weights": weights_of(learner)}


def rows_seen() -> list[int]:
    """How many rows the layers of TD3's actor see in one update that moves it."""
    learner, seen = learner_named("td3"), list[int]()
    learner.policy.layers.register_forward_pre_hook(lambda layers, inputs: seen.append(len(inputs[0])))
    for step in range(2):
        with shared_update():
            learner.update(batch_of("td3", step))
    return seen


def train_on_ranks(rank: int, folder: Path) -> None:
    """Do all of the above on each rank, and write what came out."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder / 'meet'}", rank=rank, world_size=RANKS)
    begin = from_first(lambda: torch.load(folder / "of-one.pt", weights_only=True))
    found = {
        "updated": {name: updated(name) for name in NAMES},
        "trained": {name: trained(name) for name in RESUMED},
        "resumed": {name: trained(name, begin[name]) for name in RESUMED},
        "rows": rows_seen(),
    }
    torch.save(found, folder / f"rank-{rank}.pt")
    distributed.destroy_process_group()
