"""Transitions of n steps against a loop over events."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.storage.dataset.transitions_support import written

from storage.dataset.reader import TransitionDataset


def stepped(data: TransitionDataset, start: int, n: int, discount: float) -> tuple[float, int, int]:
    """From a start: the discounted sum of rewards, the steps taken, and whether the history has ended."""
    user = next(u for u in range(len(data.user_ids)) if data.offset[u] <= start < data.offset[u + 1])
    end = int(data.offset[user + 1])
    cut = int(data.offset[user]) + int(data.timely[user])
    last = cut if start + data.frame < cut else end
    total, steps = 0.0, 0
    while steps < n and start + data.frame + steps < last:
        total += discount**steps * float(data.reward_of_code[int(data.rating_code[start + data.frame + steps])])
        steps += 1
    return total, steps, int(start + data.frame + steps == end)


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 15), min_size=1, max_size=8).filter(lambda found: max(found) > 3),
    n=st.integers(1, 20),
    discount=st.floats(0, 0.99),
    time_cut=st.integers(0, 1000),
    own_buffers=st.booleans(),
)
def test_n_steps_are_those_of_a_loop(
    lengths: list[int], n: int, discount: float, time_cut: int, own_buffers: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = written(Path(folder), lengths, time_cut=time_cut)
    starts = data.starts("all")
    out = next(data.ring(len(starts))) if own_buffers else None
    observation, action, reward, next_observation, terminal, weight = data.gather_n_step(starts, n, discount, out)
    for row, start in enumerate(starts.tolist()):
        total, steps, ended = stepped(data, start, n, discount)
        one = data.gather(torch.tensor([start, start + steps - 1]))
        assert torch.equal(observation[row], one.observation[0])
        assert torch.equal(action[row], one.action[0])
        assert torch.equal(next_observation[row], one.next_observation[1])
        assert int(terminal[row]) == ended
        np.testing.assert_allclose(float(reward[row]), total, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(float(weight[row]), discount**steps, rtol=1e-5, atol=1e-30)


def test_training_sees_nothing_after_the_time_cut(tmp_path: Path) -> None:
    """A history goes on after the cut: its last training transition is one step, and not terminal."""
    data = written(tmp_path, [40] * 3, time_cut=500)
    starts = data.starts("train")
    first_late = int(data.timely_end[0])
    assert 3 < first_late < 40
    _, _, reward, after, terminal, weight = data.gather_n_step(starts, 5, 0.9)
    assert terminal.sum() == 0
    assert torch.equal(weight[-5:], torch.tensor(0.9) ** torch.tensor([5, 4, 3, 2, 1]))
    last = data.gather(starts[-1:])
    assert torch.equal(reward[-1:], last.reward)
    assert torch.equal(after[-5:], last.next_observation.expand(5, -1))


def test_one_step_is_an_ordinary_transition(tmp_path: Path) -> None:
    data = written(tmp_path, [5, 0, 3, 9, 30])
    starts = data.starts("all")
    *found, weight = data.gather_n_step(starts, 1, 0.5)
    assert all(torch.equal(one, other) for one, other in zip(found, data.gather(starts), strict=True))
    assert bool((weight == 0.5).all())
