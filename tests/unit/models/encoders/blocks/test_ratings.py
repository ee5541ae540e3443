import numpy as np
import pytest
from items_support import built, events_of, items_of

from models.encoders.blocks import ratings
from models.encoders.blocks.ratings import BLOCK, STATISTICS, rating_statistics


def test_statistics_and_items_without_events() -> None:
    events = events_of([(0, 0, 5, 10), (1, 0, 4, 20), (1, 1, 1, 30)])
    statistics = dict(zip(STATISTICS, rating_statistics(events, items=3).T, strict=False))
    assert statistics["count"].tolist() == [2, 1, 0]
    assert np.isclose(statistics["mean"][2], 10 / 3)  # the overall mean
    assert np.isclose(statistics["mean"][0], (9 + 5 * 10 / 3) / 7)
    assert np.isclose(statistics["deviation"][0], 0.5)
    assert statistics["share_above"][:2].tolist() == [1, 0]
    assert statistics["first_time"][:2].tolist() == [10, 30]
    assert statistics["mean_time"][:2].tolist() == [15, 30]
    assert np.isnan(statistics["mean_time"][2])


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows = [(int(u), int(i), float(r), int(t)) for u, i, r, t in rng.integers(1, 6, (40, 4))]
    whole = rating_statistics(events_of(rows), 6)
    monkeypatch.setattr(ratings, "CHUNK", 7)
    np.testing.assert_allclose(rating_statistics(events_of(rows), 6), whole)


def test_an_unrated_item_is_average_but_for_its_count() -> None:
    block = built(BLOCK, items_of([True, True, False], events=events_of([(0, 0, 5, 10), (1, 0, 4, 20), (1, 1, 1, 30)])))
    assert block.known.tolist() == [True, True, False]
    assert block.values[2, 0] < block.values[:2, 0].min()
    assert block.values[2, 2:].tolist() == [0, 0, 0, 0]
    assert built(BLOCK, items_of([False, False])).names == []
