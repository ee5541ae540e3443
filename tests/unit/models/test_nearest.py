import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.errors import LearnerError
from models.nearest import NearestItems, Similarity, ranks_of, top_items

MEASURES: tuple[Similarity, ...] = ("cosine", "dot", "euclidean")


@given(
    st.integers(0, 2**31),
    st.integers(1, 4),
    st.sampled_from([1, 5, 31, 200, 511, 2000]),
    st.integers(1, 12),
    st.sampled_from([2, 30, 10**6]),
    st.floats(0, 1),
)
def test_best_and_ranks_are_a_stable_sorts(
    seed: int, rows: int, items: int, k: int, values: int, masked: float
) -> None:
    """From nothing but ties to none; with items that may not be recommended."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(-values, values, (rows, items), generator=generator).float()
    scores[torch.rand(scores.shape, generator=generator) < masked] = -torch.inf
    order = scores.sort(dim=1, descending=True, stable=True).indices
    assert torch.equal(top_items(scores, k), order[:, :k])
    places = torch.randint(items, (rows,), generator=generator)
    ranks = ranks_of(scores, places, torch.empty_like(scores))
    assert torch.equal(order.gather(1, ranks.unsqueeze(1)).squeeze(1), places)


def test_nan_is_never_recommended() -> None:
    scores = torch.zeros(2, 1000)
    scores[1, 999] = torch.nan
    with pytest.raises(LearnerError, match="NaN"):
        top_items(scores, 3)


@pytest.mark.parametrize("measure", MEASURES)
def test_nearest_items_equal_a_float64_loop(measure: Similarity) -> None:
    generator = torch.Generator().manual_seed(0)
    items, actions = torch.randn(3000, 8, generator=generator), torch.randn(1500, 8, generator=generator)
    items[17] = items[2900]  # equal scores in every measure
    actions[0] = items[17]
    found = top_items(NearestItems(items, measure).scores(actions), 10)
    for action, places in zip(actions.double()[:200], found, strict=False):
        if measure == "cosine":
            scores = torch.cosine_similarity(items.double(), action, dim=1)
        elif measure == "dot":
            scores = items.double() @ action
        else:
            scores = -(items.double() - action).norm(dim=1)
        assert torch.allclose(scores[places], scores.topk(10).values, atol=1e-5)
        assert len(set(places.tolist())) == 10
    if measure != "dot":
        assert found[0, :2].tolist() == [17, 2900]


def test_cosine_ignores_length_and_euclidean_does_not() -> None:
    items = torch.tensor([[1.0, 0.0], [0.0, 9.0]])
    action = torch.tensor([[0.0, 1.0]])
    assert NearestItems(items, "cosine").scores(action).argmax() == 1
    assert NearestItems(items, "euclidean").scores(action).argmax() == 0
