"""Matrices from item to item, each against a plain computation in float64."""

import numpy as np
import pytest
import torch
from unit.models.baselines.baselines_support import (
    PROBES,
    RECENCIES,
    had_matrix,
    histories,
    some_training,
    training,
    weights_of,
)

from models.baselines import training as training_module
from models.baselines.ease import EaseConfig, fit_ease
from models.baselines.item_knn import ItemKnnConfig, fit_item_knn
from models.baselines.item_to_item import ItemToItem
from models.baselines.markov import MarkovConfig, fit_markov
from models.baselines.recency import Recency
from models.errors import LearnerError


def whole(model: ItemToItem) -> np.ndarray:
    """The matrix over the whole catalogue, (I, I), zeros for items left out."""
    matrix = np.zeros((model.catalogue, model.catalogue))
    kept = model.items.numpy()
    matrix[np.ix_(kept, kept)] = model.weights.numpy()
    return matrix


@pytest.mark.parametrize("recency", RECENCIES)
def test_scores_are_weighted_sums_of_rows(recency: Recency) -> None:
    matrix = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    model = ItemToItem(torch.from_numpy(matrix), torch.tensor([1, 4, 7]), 12, recency)
    for row, scores in zip(PROBES, model.scores(histories(*PROBES)), strict=True):
        expected = sum(
            (weight * whole(model)[item] for item, weight in weights_of(row, recency).items()), start=np.zeros(12)
        )
        np.testing.assert_allclose(scores, expected, atol=1e-6)


@pytest.mark.parametrize("recency", RECENCIES)
def test_a_matrix_of_half_precision_is_summed_in_single_precision(recency: Recency) -> None:
    half = torch.randn((6, 6), generator=torch.Generator().manual_seed(0)).mul(100).half()
    items, probe = torch.tensor([0, 1, 4, 7, 8, 9]), histories(*PROBES, [5, 5], [9, 8, 7, 4])
    stored, whole = (ItemToItem(matrix, items, 12, recency) for matrix in (half, half.float()))
    found = stored.scores(probe)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, whole.scores(probe), rtol=1e-6, atol=1e-4)


def test_together_counts_users_in_any_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_module, "USER_BLOCK", 7)
    data = some_training()
    had = had_matrix(data)[:, :10]
    assert data.frequent.tolist() == list(range(10))
    np.testing.assert_array_equal(data.together, had.T @ had)
    again = training(*(np.repeat(column.numpy(), 2).tolist() for column in (data.users, data.items)), 12)
    assert torch.equal(again.together, data.together)


def test_only_the_most_frequent_items_are_kept() -> None:
    data = training([0, 0, 1, 1, 2, 2, 2], [4, 1, 4, 2, 4, 2, 0], 6, max_items=2)
    assert data.frequent.tolist() == [2, 4]
    assert data.together.tolist() == [[2, 2], [2, 3]]
    assert fit_markov(MarkovConfig(), data).scores(histories([0, 1])).tolist() == [[0] * 6]


def test_ease_equals_the_closed_form() -> None:
    data = some_training()
    had = had_matrix(data)
    least = int(np.median(had[:, :10].sum(0)))
    kept = np.flatnonzero(had.sum(0) >= least)
    assert 1 < len(kept) < 10
    x = had[:, kept]
    p = np.linalg.inv(x.T @ x + 3.0 * np.eye(len(kept)))
    expected = np.zeros((12, 12))
    expected[np.ix_(kept, kept)] = -p / np.diag(p)
    np.fill_diagonal(expected, 0)
    model = fit_ease(EaseConfig(regularisation=3.0, min_count=least), data)
    np.testing.assert_allclose(whole(model), expected, atol=1e-5)
    with pytest.raises(LearnerError, match="found none"):
        fit_ease(EaseConfig(min_count=99), data)


@pytest.mark.parametrize("neighbours", [3, 500])
def test_item_knn_equals_a_loop(neighbours: int) -> None:
    data = some_training()
    had = had_matrix(data)
    expected = np.zeros((12, 12))
    for a in range(10):
        for b in set(range(10)) - {a}:
            both, root = (had[:, a] * had[:, b]).sum(), np.sqrt(had[:, a].sum() * had[:, b].sum())
            expected[a, b] = both / (root + 2.5)
        least = np.sort(expected[a])[::-1][: min(neighbours, 10)][-1]
        expected[a, expected[a] < least] = 0
    model = fit_item_knn(ItemKnnConfig(neighbours=neighbours, shrink=2.5), data)
    np.testing.assert_allclose(whole(model), expected, atol=1e-6)
    assert (data.together.diagonal() > 1).all()  # what is shared between fits is left as it was


def test_markov_chain_equals_a_loop() -> None:
    data = some_training()
    counts = np.zeros((12, 12))
    events = list(zip(data.users.tolist(), data.items.tolist(), strict=True))
    for place, (user, first) in enumerate(events):
        for lag, (other, then) in enumerate(events[place + 1 : place + 4]):
            counts[first, then] += 0.5**lag * (user == other)
    expected = counts / (counts.sum(1, keepdims=True) + 2.0)
    model = fit_markov(MarkovConfig(window=3, pair_decay=0.5, shrink=2.0), data)
    np.testing.assert_allclose(whole(model), expected, atol=1e-6)
    assert fit_markov(MarkovConfig(shrink=0), training([0, 0], [1, 2], 3)).weights.tolist() == [[0, 1], [0, 0]]
