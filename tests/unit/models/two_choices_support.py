"""A world of two choices after item 0: first item 1 or 2, then item 3 or 4."""

from collections.abc import Callable
from typing import Any

import torch

from models.baselines.training import TrainingData
from models.batch import Sequences
from models.histories import Histories, Scorer
from models.space import Space

EMBEDDING = torch.eye(5)
SMALL_SPACE = Space.of(EMBEDDING, 1, (-1.0, 2.0))
SMALL_POLICY: dict[str, Any] = {
    "width": 8, "length": 2, "frame": 1, "state": "frame", "dropout": 0.0, "embeddings": True,
}  # fmt: skip


def two_choices(
    users: int, first_share: float, reward: Callable[[int, int], tuple[float, float]], seed: int = 0
) -> tuple[TrainingData, Sequences]:
    """Logged histories 0, first, second: item 1 is the first with chance `first_share`; the second is even."""
    g = torch.Generator().manual_seed(seed)
    first = torch.where(torch.rand(users, generator=g) < first_share, 1, 2)
    second = torch.where(torch.rand(users, generator=g) < 0.5, 3, 4)
    items = torch.stack((torch.zeros(users, dtype=torch.int64), first, second), 1)
    rewards = torch.tensor([[0.0, *reward(*pair)] for pair in zip(first.tolist(), second.tolist(), strict=True)])
    data = TrainingData(
        torch.arange(users).repeat_interleave(3), items.flatten(), rewards.flatten(), torch.arange(3 * users), EMBEDDING
    )
    return data, Sequences(items, rewards, torch.ones(users))


def misleading(first: int, second: int) -> tuple[float, float]:
    """Item 1 pays at once and spoils what follows."""
    return (1.0, -1.0) if first == 1 else (0.0, 2.0)


def first_choice(policy: Scorer) -> tuple[float, float]:
    """Scores of items 1 and 2 after item 0."""
    scores = policy.scores(Histories(torch.tensor([[0]]), torch.zeros(1, 1)))[0]
    return float(scores[1]), float(scores[2])
