import numpy as np
from items_support import events_of, items_of

from models.encoders.blocks.collaborative import collaborative_block, item_factors
from models.encoders.columns import ItemColumns, TrainingEvents

RNG = np.random.default_rng(0)


def two_tastes(items: int = 40, users: int = 60) -> ItemColumns:
    """Users of even number watch the first half of the items, the others the second; the last item nobody."""
    rows = [
        (user, int(item) + (user % 2) * (items // 2 - 1), 4.0, 0)
        for user in range(users)
        for item in RNG.choice(items // 2 - 1, 8, replace=False)
    ]
    train = np.bincount([item for _, item, _, _ in rows], minlength=items) > 0
    return items_of(train.tolist(), events=events_of(rows))


def test_items_of_one_taste_are_near_and_cold_ones_are_nowhere() -> None:
    block = collaborative_block(two_tastes(), most=4)
    assert block.values.shape == (40, 4)
    likeness = block.values @ block.values.T
    assert likeness[:19, :19].mean() > likeness[:19, 19:38].mean() + 0.5
    assert not block.values[39].any()
    assert block.known.tolist() == [True] * 38 + [False] * 2


def test_factors_are_the_singular_vectors_of_the_normalised_matrix() -> None:
    events = two_tastes().events
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
    items = two_tastes()
    events, order = items.events, RNG.permutation(len(items.events.item))
    shuffled = TrainingEvents(events.user[order], events.item[order], events.rating[order], events.timestamp[order])
    once = collaborative_block(items, most=1)
    np.testing.assert_array_equal(once.values, collaborative_block(items, most=1).values)
    again = collaborative_block(items_of(items.train.tolist(), events=shuffled), most=1)
    np.testing.assert_allclose(once.values, again.values, atol=1e-4)


def test_items_without_events_do_not_show() -> None:
    items = two_tastes()
    events = items.events
    moved = TrainingEvents(events.user, 2 * events.item + 5, events.rating, events.timestamp)
    apart = collaborative_block(items_of([True] * 100, events=moved), most=4)
    np.testing.assert_array_equal(apart.values[5:81:2], collaborative_block(items, most=4).values[:38])


def test_rarely_seen_items_say_less() -> None:
    rows = [(user, item, 4.0, 0) for user in range(30) for item in (user % 3, 3 + user % 2)] + [(0, 5, 4.0, 0)]
    block = collaborative_block(items_of([True] * 6, events=events_of(rows)), most=3)
    assert np.linalg.norm(block.values[5]) < 0.5 < np.linalg.norm(block.values[0])


def test_too_little_to_factorise() -> None:
    assert collaborative_block(items_of([True, True]), most=4).names == []
    assert collaborative_block(items_of([True], events=events_of([(0, 0, 4, 0)])), most=4).names == []
    alike = [(user, item, 4, item) for user in range(29) for item in range(8)]
    assert collaborative_block(items_of([True] * 30, events=events_of(alike)), most=4).names == []
