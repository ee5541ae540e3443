import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from storage.dataset.scale import RatingScale


def test_half_stars_have_the_papers_rewards() -> None:
    scale = RatingScale()
    rating = scale.rating_min + scale.step * np.arange(1, scale.codes + 1)
    assert rating.tolist() == [0.5 * code for code in range(1, 11)]
    assert (scale.reward_scale * rating + scale.reward_offset).tolist() == (2 * (rating - 2.5)).tolist()


@given(st.integers(-100, 100), st.integers(1, 254), st.sampled_from([0.01, 0.1, 0.5, 1, 7]))
def test_every_scale_goes_from_the_worst_reward_to_the_best(lowest: int, steps: int, step: float) -> None:
    scale = RatingScale(lowest=lowest, highest=lowest + steps * step, step=step)
    assert scale.codes == steps + 1
    ends = np.array([scale.lowest, scale.highest])
    np.testing.assert_allclose(scale.reward_scale * ends + scale.reward_offset, [-4, 5], atol=1e-6)


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
