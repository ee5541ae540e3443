import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from evaluation.protocols.cases import next_item_cases
from evaluation.protocols.distances import DISTANCES, MINKOWSKI_P, ByDistance, Distance, distances_between
from evaluation.protocols.ranking import rank_cases
from models.histories import Histories
from storage.dataset.reader import TransitionDataset

SCIPY = {"bray-curtis": "braycurtis", "manhattan": "cityblock"}


class MeanOfLatest:
    """Acts as the mean of the latest items' embeddings."""

    def __init__(self, embedding: torch.Tensor) -> None:
        self.embedding = embedding

    def act(self, histories: Histories) -> torch.Tensor:
        return self.embedding[histories.last(3).items].mean(1)


def naive(distance: str, x: torch.Tensor, y: torch.Tensor) -> np.ndarray:
    options = {"p": MINKOWSKI_P} if distance == "minkowski" else {}
    return cdist(x.numpy().astype(np.float64), y.numpy().astype(np.float64), SCIPY.get(distance, distance), **options)


@pytest.mark.parametrize("distance", DISTANCES)
def test_distances_are_scipys(distance: Distance) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(9, 16, generator=generator), torch.randn(70, 16, generator=generator)
    y[:3, :5] = 0
    np.testing.assert_allclose(distances_between(distance, x, y).numpy(), naive(distance, x, y), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("distance", DISTANCES)
def test_rows_without_a_direction_have_a_distance_too(distance: Distance) -> None:
    rows = torch.stack((torch.zeros(4), torch.ones(4), torch.arange(4.0)))
    assert distances_between(distance, rows, rows).isfinite().all()


def test_bray_curtis_of_opposite_rows_is_as_far_as_numbers_go_but_ranks_last() -> None:
    x = torch.tensor([[1.0, -2.0]])
    found = distances_between("bray-curtis", x, torch.tensor([[-1.0, 2.0], [1.0, 1.0]]))
    assert found[0, 0] > found[0, 1]


@pytest.mark.parametrize("distance", DISTANCES)
def test_items_are_ranked_as_by_sorting_distances(data: TransitionDataset, distance: Distance) -> None:
    policy = MeanOfLatest(data.embedding)
    cases = next_item_cases(data, "test", per_user=2)
    ranked = rank_cases(data, ByDistance(policy, data.embedding, distance), cases, depth=10)
    for row in range(len(cases)):
        known = cases.histories(data, torch.tensor([row]))
        distances = naive(distance, policy.act(known), data.embedding)[0]
        target = int(ranked.items[row])
        candidates = [item for item in range(data.items) if item == target or item not in known.items[0].tolist()]
        order = sorted(candidates, key=lambda item: distances[item])
        assert ranked.best[row].tolist() == [*order, *[-1] * 10][:10]
        assert ranked.ranks[row] == order.index(target)
