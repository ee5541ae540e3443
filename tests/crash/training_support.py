"""A training of seconds in two stages, which continues from its checkpoints: `train`, or this file as a process."""

import sys
import time
from pathlib import Path
from typing import Any

import torch

from models.batch import Batch
from models.learners.registry import make_learner
from models.learners.td3_bc import TD3BCConfig
from models.sampling import UniformSampler
from models.space import Space
from models.trainer import Trainer
from models.trainer_config import TrainerConfig
from storage.checkpoints import Checkpoints

CONFIG = TrainerConfig(
    steps=60, batch_size=8, log_every=5, validate_every=5, checkpoint_every=3, patience=2, stages=("radam", "adam")
)
SCORES = (0.1, 0.3, 0.2, 0.2, 0.1, 0.4, 0.3, 0.2)  # turns at update 20, and again at 40


class StoppedError(Exception):
    """Training ended at the checkpoint that the test named."""


def train(folder: Path, pause: float = 0, until: int | None = None) -> dict[str, Any]:
    """Train to the end, or raise `StoppedError` after the checkpoint of update `until`; returns the last state.

    Args:
        folder: of the checkpoints.
        pause: seconds before each batch.
        until: None: to the end.
    """
    learner = make_learner(TD3BCConfig(hidden_dim=16), Space(3, 2, 1.0, -4.0, 5.0), "cpu", 0)

    def gather(starts: torch.Tensor) -> Batch:
        time.sleep(pause)
        x = starts.float().unsqueeze(1)
        return Batch(
            x.sin().repeat(1, 3), x.cos().repeat(1, 2), x[:, 0].sin(), x.cos().repeat(1, 3), torch.zeros(len(x))
        )

    def validate() -> dict[str, float]:
        losses = {name: float(loss) for name, loss in learner.losses(held_out).items()}
        return {"ndcg@10": SCORES[run.step // 5 - 1], **losses}

    def save(step: int, state: dict[str, Any]) -> None:
        checkpoints.save(step, state)
        if step == until:
            raise StoppedError

    held_out = gather(torch.arange(20))
    run = Trainer(learner, UniformSampler(torch.arange(50), 8, 3), gather, validate, CONFIG)
    checkpoints = Checkpoints(folder)
    if (found := checkpoints.load_latest()) is not None:
        run.load_state_dict(found[1])
    run.run(lambda *_: None, save)
    return run.state_dict()


if __name__ == "__main__":
    torch.set_num_threads(1)
    Checkpoints(Path(sys.argv[1])).save(99, train(Path(sys.argv[1]), float(sys.argv[2])))
