import numpy as np
import pytest
import torch

from models.baselines.ease import fit_ease
from models.errors import LearnerError
from models.histories import Histories


def test_equals_the_closed_form_in_float64() -> None:
    rng = np.random.default_rng(0)
    had = rng.random((40, 7)) < 0.4
    had[:, 6] = False
    users, items = (torch.from_numpy(axis) for axis in np.nonzero(had))
    ease = fit_ease(users, items, 7, last=3, regularisation=3.0, min_count=1)
    x = had[:, :6].astype(np.float64)
    p = np.linalg.inv(x.T @ x + 3.0 * np.eye(6))
    b = -p / np.diag(p)
    np.fill_diagonal(b, 0)
    frames = torch.tensor([[0, 2, 6], [1, 4, 5]])
    earlier = torch.tensor([[6, -1], [-1, 2]])  # older than the last three, or nothing
    frames = torch.cat((earlier, frames), dim=1)
    scores = ease.scores(Histories(frames, torch.zeros(frames.shape)))
    assert scores.shape == (2, 7)
    np.testing.assert_allclose(scores[0, :6], b[0] + b[2], atol=1e-5)
    np.testing.assert_allclose(scores[1, :6], b[1] + b[4] + b[5], atol=1e-5)
    assert not scores[:, 6].any()


def test_twice_is_once_and_rare_items_are_left_out() -> None:
    users, items = torch.tensor([0, 0, 1, 1, 2, 2, 2]), torch.tensor([0, 1, 0, 1, 0, 1, 2])
    once = fit_ease(users, items, 3, last=2, min_count=2)
    again = fit_ease(torch.cat((users, users)), torch.cat((items, items)), 3, last=2, min_count=3)
    assert once.items.tolist() == [0, 1]
    torch.testing.assert_close(once.weights, again.weights)
    with pytest.raises(LearnerError, match="found none"):
        fit_ease(users, items, 3, last=2, min_count=9)
