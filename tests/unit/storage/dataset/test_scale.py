import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from storage.dataset.scale import RatingScale, RewardMap


def test_half_stars_have_the_papers_rewards() -> None:
    scale, reward = RatingScale(), RewardMap.default(RatingScale())
    rating = scale.rating_min + scale.step * np.arange(1, scale.codes + 1)
    assert rating.tolist() == [0.5 * code for code in range(1, 11)]
    assert (reward.scale * rating + reward.offset).tolist() == (2 * (rating - 2.5)).tolist()
    assert scale.ratings()[1:11].tolist() == rating.tolist()
    assert scale.ratings()[scale.liked_code] == 4


@given(st.integers(-100, 100), st.integers(1, 254), st.sampled_from([0.01, 0.1, 0.5, 1, 7]))
def test_every_scale_has_the_default_reward_bounds_and_likes_what_is_rewarded_three_or_more(
    lowest: int, steps: int, step: float
) -> None:
    scale = RatingScale(lowest=lowest, highest=lowest + steps * step, step=step)
    assert scale.codes == steps + 1
    reward = RewardMap.default(scale)
    np.testing.assert_allclose(reward.bounds(scale), [-4, 5], atol=1e-6)
    rewards = (reward.scale * scale.ratings() + reward.offset)[1 : scale.codes + 1]
    np.testing.assert_array_equal(np.arange(1, scale.codes + 1) >= scale.liked_code, rewards >= 3 - 1e-6)


@pytest.mark.parametrize(
    ("lowest", "highest", "step", "message"),
    [
        (5, 1, 1, "in 2 to 255 ratings"),
        (0, 1, 0.3, "in 2 to 255 ratings"),
        (0, 256, 1, "in 2 to 255 ratings"),
        (1e8, 1e8 + 10, 1, "float32 can tell apart"),
    ],
)
def test_what_is_no_small_grid_is_refused(lowest: float, highest: float, step: float, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RatingScale(lowest=lowest, highest=highest, step=step)
