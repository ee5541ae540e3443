"""A small world in which each item follows the one before it, and learners that rank in it."""

from typing import Any

import torch

from models.baselines.training import TrainingData
from models.batch import Sequences
from models.learners.config import SequenceConfig
from models.learners.ranking import Ranking
from models.learners.ranking_config import RankingConfig
from models.learners.registry import LEARNERS
from models.learners.sequence_learner import SequenceLearner
from models.space import Space

ITEMS, DIM, LENGTH = 40, 6, 8
SMALL = {"width": 12, "length": LENGTH, "frame": 4, "critic_width": 16}


def config(**changes: Any) -> RankingConfig:
    policy = SMALL | changes.pop("policy", {})
    kernel = {"min_count": 1, "window": 5}
    return RankingConfig.model_validate({"policy": policy, "kernel": kernel, "negatives": 15} | changes)


def settings_of(name: str, **changes: Any) -> SequenceConfig:
    """Small settings of any learner from sequences."""
    if name == "ranking":
        return config(**changes)
    policy = SMALL | changes.pop("policy", {})
    made = LEARNERS[name].config.model_validate({"policy": policy, "negatives": 15} | changes)
    assert isinstance(made, SequenceConfig)
    return made


def world(users: int = 30, seed: int = 0) -> TrainingData:
    """Whoever had item i has item i + 1 next, but for the last item, which nobody has."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(ITEMS - 1, (users, 1), generator=generator)
    items = (first + torch.arange(20)) % (ITEMS - 1)
    rewards = torch.randint(-4, 6, items.shape, generator=generator).float()
    embedding = torch.randn((ITEMS, DIM), generator=generator)
    count = items.numel()
    return TrainingData(
        torch.arange(users).repeat_interleave(20), items.flatten(), rewards.flatten(), torch.arange(count), embedding
    )


DATA = world()
SPACE = Space.of(DATA.embedding, 4, (-4.0, 5.0))


def pieces(rows: int, seed: int = 0) -> Sequences:
    generator = torch.Generator().manual_seed(seed)
    users = torch.randint(30, (rows,), generator=generator)
    ends = torch.randint(5, 21, (rows,), generator=generator)
    items, rewards = torch.full((rows, LENGTH + 1), -1), torch.zeros(rows, LENGTH + 1)
    for row, (user, end) in enumerate(zip(users.tolist(), ends.tolist(), strict=True)):
        taken = slice(user * 20 + max(0, end - LENGTH - 1), user * 20 + end)
        count = taken.stop - taken.start
        items[row, -count:], rewards[row, -count:] = DATA.items[taken], DATA.rewards[taken]
    return Sequences(items, rewards, (ends == 20).float())


def learner_of(settings: RankingConfig, seed: int = 0) -> Ranking:
    return Ranking(settings, SPACE, DATA, "cpu", seed)


def any_learner_of(settings: SequenceConfig, seed: int = 0, data: TrainingData = DATA) -> SequenceLearner:
    made = LEARNERS[settings.name].learner(settings, SPACE, data, "cpu", seed)
    assert isinstance(made, SequenceLearner)
    return made


def train(learner: SequenceLearner, steps: int, first: int = 0) -> dict[str, torch.Tensor]:
    return [learner.update(pieces(8, seed=step)) for step in range(first, first + steps)][-1]
