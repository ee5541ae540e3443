import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage.dataset.splits import SplitParams, split_users, time_cut, train_until

PARAMS = SplitParams(seed=1)


def test_fractions_and_independence_of_other_users() -> None:
    few = np.arange(0, 20_000, 2)
    many = np.arange(20_000)
    split = split_users(many, PARAMS)
    assert np.array_equal(split_users(few, PARAMS), split[::2])
    shares = np.bincount(split) / len(many)
    assert np.abs(shares - [0.7, 0.1, 0.2]).max() < 0.02
    assert not np.array_equal(split, split_users(many, SplitParams(seed=2)))


@settings(max_examples=50)
@given(st.sets(st.integers(-(2**40), 2**40), min_size=3, max_size=30))
@example({96, 107, -2367067})
def test_no_split_is_empty(users: set[int]) -> None:
    assert set(split_users(np.array(sorted(users)), PARAMS).tolist()) == {0, 1, 2}


def test_training_events_are_of_training_users_before_the_cut() -> None:
    times = np.arange(100)
    cut = time_cut([times], SplitParams(time_quantile=0.9))
    assert cut == 89
    split = (np.arange(100) % 3).astype(np.uint8)
    mask = times <= train_until(split, cut)
    assert mask.sum() == 30
    assert times[mask].max() <= cut


@settings(max_examples=100)
@given(
    st.lists(st.lists(st.integers(0, 2**20) | st.integers(0, 4_102_444_799), max_size=20), max_size=4),
    st.floats(0.001, 1, allow_nan=False),
)
@example([[5, 5, 5, 7], [7]] * 30, 0.9)
def test_the_time_cut_is_the_lower_quantile(parts: list[list[int]], fraction: float) -> None:
    times = [time for part in parts for time in part]
    expected = np.quantile(times, fraction, method="lower") if times else 0
    assert time_cut([np.array(part, np.int64) for part in parts], SplitParams(time_quantile=fraction)) == expected
