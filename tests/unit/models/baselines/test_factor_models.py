"""Popularity, similarity search and ALS, each against a plain computation in float64."""

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

from models.baselines.als import Als, AlsConfig, fit_als
from models.baselines.collaborative import CollaborativeConfig, fit_collaborative
from models.baselines.content import ContentConfig, fit_content
from models.baselines.popularity import PopularityConfig, fit_popularity
from models.baselines.recency import Recency
from models.errors import LearnerError


def test_popularity_counts_all_or_the_latest_events() -> None:
    data = training([0, 0, 0, 1, 1], [2, 1, 2, 1, 0], 4)
    times = torch.tensor([10, 20, 50, 30, 40])
    data = type(data)(data.users, data.items, data.rewards, times, data.embedding)
    assert fit_popularity(PopularityConfig(), data).scores(histories([0], [1])).tolist() == [[1, 2, 2, 0]] * 2
    assert fit_popularity(PopularityConfig(share=0.4), data).counts.tolist() == [1, 0, 1, 0]
    assert fit_popularity(PopularityConfig(share=0.41), data).counts.tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("recency", RECENCIES)
def test_content_search_is_the_cosine_to_the_weighted_mean(recency: Recency) -> None:
    data = some_training()
    data.embedding[4] = 0  # nothing is known of it
    unit = data.embedding.double().numpy()
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
    scores = fit_content(ContentConfig(**recency.model_dump()), data).scores(histories(*PROBES))
    for row, got in zip(PROBES, scores, strict=True):
        query = sum((weight * unit[item] for item, weight in weights_of(row, recency).items()), start=np.zeros(3))
        np.testing.assert_allclose(got, unit @ query / max(np.linalg.norm(query), 1e-12), atol=1e-6)
    assert not scores[:, 4].any()


def test_collaborative_search_equals_a_dense_decomposition() -> None:
    data = some_training()
    had = had_matrix(data)[:, :10]
    normal = had / np.sqrt(had.sum(1, keepdims=True)) / np.sqrt(had.sum(0))
    _, values, vectors = np.linalg.svd(normal)  # the first is the root of popularity
    factors = vectors[1:4].T * values[1:4]
    factors /= np.linalg.norm(factors, axis=1, keepdims=True)
    found = fit_collaborative(CollaborativeConfig(factors=3), data).vectors.numpy()
    np.testing.assert_allclose(found[:10] @ found[:10].T, factors @ factors.T, atol=2e-3)
    assert not found[10:].any()


def test_users_who_differ_in_nothing_have_no_factors() -> None:
    with pytest.raises(LearnerError, match="found 2 items and 3 users"):
        fit_collaborative(CollaborativeConfig(), training([0, 0, 1, 1, 2, 2], [0, 1] * 3, 2))


def folded_in(had: np.ndarray, factors: np.ndarray, penalty: float, alpha: float) -> np.ndarray:
    """A user's factors by Hu et al.'s equation 4, with confidence 1 + α · weight for all items, those not had too."""
    confidence = np.diag(1 + alpha * had)
    left = factors.T @ confidence @ factors + penalty * np.eye(factors.shape[1])
    return np.linalg.solve(left, factors.T @ confidence @ (had > 0))


@pytest.mark.parametrize("recency", RECENCIES)
def test_als_folds_a_history_in_by_direct_solution(recency: Recency) -> None:
    factors = np.random.default_rng(0).normal(size=(12, 4))
    model = Als(torch.from_numpy(factors).float(), 0.5, 6.0, recency)
    for row, scores in zip(PROBES, model.scores(histories(*PROBES)), strict=True):
        had = np.zeros(12)
        for item, weight in weights_of(row, recency).items():
            had[item] = weight
        np.testing.assert_allclose(scores, factors @ folded_in(had, factors, 0.5, 6.0), atol=1e-4)


def test_als_is_at_rest_when_solved_once_more_in_float64() -> None:
    data = some_training(users=60)
    model = fit_als(AlsConfig(factors=4, regularisation=0.5, confidence=6.0, iterations=400), data)
    had, items = had_matrix(data), model.factors.double().numpy()
    users = np.stack([folded_in(row, items, 0.5, 6.0) for row in had])
    again = np.stack([folded_in(column, users, 0.5, 6.0) for column in had.T])
    np.testing.assert_allclose(items, again, atol=2e-2)
    assert not items[10:].any()
