"""Targets of n steps of sequences against a loop over actions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batch import Sequences
from models.learners.n_step import n_step_targets


@settings(max_examples=50, deadline=None)
@given(length=st.integers(1, 9), n=st.integers(1, 12), discount=st.floats(0, 0.99), seed=st.integers(0, 99))
def test_targets_are_those_of_a_loop(length: int, n: int, discount: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rewards = torch.randn((3, length + 1), generator=generator, dtype=torch.float64)
    value = torch.randn((3, length), generator=generator, dtype=torch.float64)
    batch = Sequences(torch.zeros((3, length + 1), dtype=torch.int64), rewards, torch.tensor([0.0, 1.0, 0.0]))
    found = n_step_targets(batch, value, discount, n)
    for row in range(3):
        for first in range(length):
            last = min(first + n, length) - 1
            y = sum(discount ** (place - first) * float(rewards[row, place + 1]) for place in range(first, last + 1))
            if not (last == length - 1 and batch.terminal[row]):
                y += discount ** (last - first + 1) * float(value[row, last])
            assert float(found[row, first]) == pytest.approx(y, rel=1e-9, abs=1e-12)
