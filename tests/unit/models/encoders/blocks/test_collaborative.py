import numpy as np
from items_support import events_of

from models.encoders.blocks.collaborative import event_factors, item_factors
from models.encoders.columns import TrainingEvents

RNG = np.random.default_rng(0)


def two_tastes(items: int = 40, users: int = 60) -> TrainingEvents:
    """Users of even number watch the first half of the items, the others the second; the last item nobody."""
    rows = [
        (user, int(item) + (user % 2) * (items // 2 - 1), 4.0, 0)
        for user in range(users)
        for item in RNG.choice(items // 2 - 1, 8, replace=False)
    ]
    return events_of(rows)


def test_items_of_one_taste_are_near_and_cold_ones_are_nowhere() -> None:
    values = event_factors(two_tastes(), 40, most=4)
    assert values.shape == (40, 4)
    likeness = values @ values.T
    assert likeness[:19, :19].mean() > likeness[:19, 19:38].mean() + 0.5
    assert values.any(axis=1).tolist() == [True] * 38 + [False] * 2


def test_factors_are_the_singular_vectors_of_the_normalised_matrix() -> None:
    events = two_tastes()
    count = np.bincount(events.item)
    dense = np.zeros((60, 38))
    np.add.at(dense, (events.user, events.item), 1.0)
    dense /= np.sqrt(np.outer(dense.sum(axis=1), count))
    popularity = np.sqrt(count / count.sum())
    _, sizes, rows = np.linalg.svd(dense - dense @ np.outer(popularity, popularity))
    expected = rows[:5].T * sizes[:5]
    found = item_factors(events.user, events.item, count, 5)
    np.testing.assert_allclose(np.abs(found[:, 0]), np.abs(expected[:, 0]), atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), sizes[:5], rtol=0.02)


def test_order_of_users_and_repetition_change_nothing() -> None:
    events = two_tastes()
    order = RNG.permutation(len(events.item))
    shuffled = TrainingEvents(events.user[order], events.item[order], events.rating[order], events.timestamp[order])
    once = event_factors(events, 40, most=1)
    np.testing.assert_array_equal(once, event_factors(events, 40, most=1))
    np.testing.assert_allclose(once, event_factors(shuffled, 40, most=1), atol=1e-4)


def test_items_without_events_do_not_show() -> None:
    events = two_tastes()
    moved = TrainingEvents(events.user, 2 * events.item + 5, events.rating, events.timestamp)
    np.testing.assert_array_equal(event_factors(moved, 100, most=4)[5:81:2], event_factors(events, 40, most=4)[:38])


def test_rarely_seen_items_say_less() -> None:
    rows = [(user, item, 4.0, 0) for user in range(30) for item in (user % 3, 3 + user % 2)] + [(0, 5, 4.0, 0)]
    values = event_factors(events_of(rows), 6, most=3)
    assert np.linalg.norm(values[5]) < 0.5 < np.linalg.norm(values[0])


def test_too_little_to_factorise() -> None:
    assert event_factors(events_of([(0, 0, 4, 0)]), 1, most=4).shape == (1, 0)
    alike = [(user, item, 4, item) for user in range(29) for item in range(8)]
    assert event_factors(events_of(alike), 30, most=4).shape == (30, 0)
