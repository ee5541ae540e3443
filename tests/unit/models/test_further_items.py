"""Stored policies of every format on a larger catalogue."""

from collections.abc import Callable

import pytest
import torch
from unit.models.test_ensemble import ITEMS, PROBE, nearest, ranking

from models.constrained_ranking import ConstrainedRanking, ItemValues
from models.ensemble import Ensemble
from models.histories import Histories
from models.policy import Publishable
from models.policy_formats import policy_from, with_further_items

PLACES = torch.tensor([0, 1, 3, 4, 5, 7, 8, 9, 10])  # of the nine items among eleven
NEW = torch.tensor([2, 6])
LARGER = (
    torch.zeros(11, 4).index_copy(0, PLACES, ITEMS).index_copy(0, NEW, torch.tensor([[1.0, 2, 0, 1], [0, -1, 3, 1]]))
)
MOVED = Histories(PLACES[PROBE.items], PROBE.rewards)


def constrained() -> ConstrainedRanking:
    return ConstrainedRanking(ranking(), ItemValues(9, 4, 4), 0.3).eval()


POLICIES: dict[str, Callable[[], Publishable]] = {
    "nearest": lambda: nearest(critics=False),
    "ranking": ranking,
    "constrained": constrained,
    "ensemble": lambda: Ensemble([ranking(), ranking()]),
}


def members(policy: Publishable) -> tuple[Publishable, ...]:
    return policy.members if isinstance(policy, Ensemble) else (policy,)


def in_order(scores: torch.Tensor) -> list[list[int]]:
    return scores.argsort(dim=1, descending=True).tolist()


@pytest.mark.parametrize("kind", POLICIES)
def test_its_own_items_keep_their_order(kind: str) -> None:
    torch.manual_seed(0)
    policy = POLICIES[kind]()
    policy = policy_from(policy.config(), policy.tensors(), ITEMS)  # kernels are stored in half precision
    grown = with_further_items(policy, PLACES, LARGER)
    assert grown.scores(MOVED).shape == (2, 11)
    # An ensemble standardises its members' scores over all items.
    for larger, own in zip(members(grown), members(policy), strict=True):
        scores = larger.scores(MOVED)
        assert bool(scores.isfinite().all())
        assert in_order(scores[:, PLACES]) == in_order(own.scores(PROBE))
        if kind != "constrained":  # whose items beside the allowed ones are scored relative to the best
            torch.testing.assert_close(scores[:, PLACES], own.scores(PROBE))


def test_a_further_item_is_ranked_by_its_embedding() -> None:
    torch.manual_seed(0)
    policy = nearest(critics=False)
    expected = torch.cosine_similarity(policy.act(PROBE).unsqueeze(1), LARGER[NEW].unsqueeze(0), dim=2)
    torch.testing.assert_close(with_further_items(policy, PLACES, LARGER).scores(MOVED)[:, NEW], expected)


def test_a_ranking_policy_takes_a_further_item_for_one_without_training_events() -> None:
    torch.manual_seed(0)
    policy = ranking()  # its item 0 has no training events
    vectors = LARGER.index_copy(0, NEW, ITEMS[[0, 0]])
    grown = with_further_items(policy, PLACES, vectors)
    histories = Histories(MOVED.items[1:], MOVED.rewards[1:])
    scores = grown.scores(histories)
    torch.testing.assert_close(scores[:, NEW], scores[:, :1].expand(-1, 2))
