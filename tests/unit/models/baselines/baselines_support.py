"""Small training events for tests of baselines."""

import numpy as np
import torch

from models.baselines.recency import Recency
from models.baselines.training import TrainingData
from models.histories import Histories


def training(users: list[int], items: list[int], catalogue: int, **more: int) -> TrainingData:
    """Events in the given order, a second apart."""
    count = len(items)
    vectors = torch.from_numpy(np.random.default_rng(5).normal(size=(catalogue, 3)).astype(np.float32))
    return TrainingData(
        torch.tensor(users, dtype=torch.int64),
        torch.tensor(items, dtype=torch.int64),
        torch.ones(count),
        torch.arange(count),
        vectors,
        **more,
    )


def some_training(seed: int = 0, users: int = 30, catalogue: int = 12, cold: int = 2, **more: int) -> TrainingData:
    """Random histories of 2 to 9 different items; the last `cold` items nobody had."""
    rng = np.random.default_rng(seed)
    histories = [rng.permutation(catalogue - cold)[: rng.integers(2, 10)] for _ in range(users)]
    rows = [user for user, history in enumerate(histories) for _ in history]
    return training(rows, np.concatenate(histories).tolist(), catalogue, **more)


def had_matrix(data: TrainingData) -> np.ndarray:
    """(U, I) float64 of 0 and 1."""
    had = np.zeros((int(data.users.max()) + 1, data.catalogue))
    had[data.users.numpy(), data.items.numpy()] = 1
    return had


def histories(*rows: list[int]) -> Histories:
    """Histories filled on the left."""
    length = max(map(len, rows))
    items = torch.tensor([[-1] * (length - len(row)) + row for row in rows])
    return Histories(items, torch.zeros(items.shape))


def weights_of(row: list[int], recency: Recency) -> dict[int, float]:
    """By item what it weighs, said plainly."""
    weights: dict[int, float] = {}
    for age, item in enumerate(reversed(row if recency.last is None else row[-recency.last :])):
        weights.setdefault(item, recency.decay**age)
    return weights


PROBES = [[3, 1, 0, 7, 2], [11, 4], [5], []]
RECENCIES = [Recency(last=3), Recency(last=None, decay=0.7), Recency(last=1)]
