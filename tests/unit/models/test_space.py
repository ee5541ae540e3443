import pytest
import torch

from models.errors import LearnerError
from models.space import Space


def test_a_space_knows_what_returns_are_possible() -> None:
    space = Space.of(torch.tensor([[0.5, -2.0], [1.0, 0.0]]), frame=3, reward_bounds=(-4.0, 5.0))
    assert space == Space(9, 2, 2.0, -4.0, 5.0)
    assert space.returns(0.9) == pytest.approx((-40, 50))
    assert Space(1, 1, 1, 2, 5).returns(0.9) == pytest.approx((2, 50))  # an episode may end at once
    assert space.returns(0) == (-4, 5)
    assert space.largest_reward == 5
    assert Space(1, 1, 1, -7, 5).largest_reward == 7


@pytest.mark.parametrize(("lowest", "highest"), [(-4.0, 5.0), (0.05, 0.5), (-30.0, 60.0)])
def test_a_reward_is_liked_from_four_of_five_stars_whatever_the_reward_map(lowest: float, highest: float) -> None:
    ratings = torch.arange(1, 11) / 2
    rewards = lowest + (highest - lowest) * (ratings - 0.5) / 4.5
    liked = rewards >= Space(1, 1, 1, lowest, highest).liked_reward
    assert ratings[liked].tolist() == [4.0, 4.5, 5.0]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([[1.0, 0.0], [0.0, 0.0]], "1 rows of zeros"),
        ([[0.0, 0.0], [torch.nan, 1.0]], "2 rows of zeros"),
        ([[torch.inf, 1.0]], "1 rows of zeros"),
        ([], "found none"),
    ],
)
def test_embeddings_that_no_action_is_like_are_refused(rows: list[list[float]], found: str) -> None:
    with pytest.raises(LearnerError, match=found):
        Space.of(torch.tensor(rows).reshape(-1, 2), 3, (-4.0, 5.0))
