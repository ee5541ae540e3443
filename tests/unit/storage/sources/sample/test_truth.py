from pathlib import Path

import numpy as np
from sample_support import read_events

from storage.dataset.scale import RatingScale, RewardMap
from storage.sources.sample.release import SampleParams, load_truth, true_affinity, write_sample
from storage.sources.sample.truth import true_ratings, true_rewards


def test_true_ratings_are_what_drawn_ones_are_on_average(tmp_path: Path) -> None:
    """Over the whole range of affinity, also where stars are cut off at five."""
    write_sample(tmp_path, SampleParams(users=1500, movies=150, events_per_user_mean=40))
    truth = load_truth(tmp_path)
    events, _ = read_events(tmp_path)
    user = np.repeat(np.searchsorted(truth.user_ids, events.user_id), events.length)
    expected = true_ratings(truth)[user, events.item]
    stars = events.code / 2
    order = np.argsort(true_affinity(truth)[user, events.item])
    for part in np.array_split(order, 8):
        assert abs(stars[part].mean() - expected[part].mean()) < 0.05
    assert expected.min() >= 0.5
    assert expected.max() <= 5


def test_rewards_are_in_the_order_asked_for(tmp_path: Path) -> None:
    write_sample(tmp_path, SampleParams(users=40, movies=60, events_per_user_mean=20))
    truth = load_truth(tmp_path)
    users, movies = truth.user_ids[[7, 3]], truth.movie_ids[[9, 0, 30]]
    found = true_rewards(truth, users, movies, RewardMap.default(RatingScale()))
    assert np.allclose(found, 2 * true_ratings(truth)[np.ix_([7, 3], [9, 0, 30])] - 5, atol=1e-5)
