import numpy as np
import pytest
import torch

from models.baselines.training import TrainingData
from models.errors import LearnerError
from models.kernels import KernelConfig, kernel_items, transition_kernel


def events(users: int = 6, length: int = 15, items: int = 8, seed: int = 0) -> TrainingData:
    rng = np.random.default_rng(seed)
    item = torch.from_numpy(rng.integers(0, items - 1, users * length))
    return TrainingData(
        torch.arange(users).repeat_interleave(length), item, torch.ones(len(item)), torch.arange(len(item)),
        torch.eye(items),
    )  # fmt: skip


def test_transitions_equal_a_ridge_regression_on_rows_that_are_written_out() -> None:
    config = KernelConfig(min_count=1, max_items=10, window=4, decay=0.6, ridge=2.0, popularity_power=0.3)
    data = events()
    items = kernel_items(data, config)
    assert items.tolist() == list(range(7))  # the eighth was never rated
    rows, nexts = [], []
    for user in range(6):
        history = data.items[data.users == user].tolist()
        for place in range(len(history) + config.window):  # as if histories went on
            row, after = np.zeros(7), np.zeros(7)
            for age in range(1, config.window + 1):
                if 0 <= place - age < len(history):
                    row[history[place - age]] += config.decay ** (age - 1)
            if place < len(history):
                after[history[place]] = 1
            rows.append(row)
            nexts.append(after)
    x, y = np.array(rows), np.array(nexts)
    cross = x.T @ y
    direct = np.linalg.solve(x.T @ x + 2.0 * np.eye(7), cross + config.backward * cross.T)
    direct /= (data.counts[items].numpy() + 10.0) ** 0.3
    direct /= np.sqrt(np.square(direct).mean())
    np.testing.assert_allclose(transition_kernel(data, items, config).numpy(), direct, rtol=2e-4, atol=1e-5)


def test_rare_items_have_no_row_and_nothing_at_all_is_refused() -> None:
    data = events()
    few = kernel_items(data, KernelConfig(min_count=1, max_items=10)).numel()
    assert kernel_items(data, KernelConfig(min_count=13, max_items=10)).numel() < few
    with pytest.raises(LearnerError, match="found none"):
        kernel_items(data, KernelConfig(min_count=1000))
