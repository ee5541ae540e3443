"""The population stability index: values computed by hand, its properties, and what is counted."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy

from evaluation.protocols.population_stability import (
    GROUPS,
    Events,
    by_activity,
    by_popularity,
    measure_stability,
    population_stability_index,
    psi_by_chance,
)

counts = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=12)


def events(rows: list[tuple[int, int, int, int]]) -> Events:
    """Events from (user, movie, code, timestamp)."""
    user, movie, code, time = np.array(rows, dtype=np.int64).reshape(-1, 4).T
    return Events(user, movie, code.astype(np.uint8), time)


def test_the_index_is_the_one_computed_by_hand() -> None:
    # Shares with half a thing more in each bin: base 60.5/101 and 40.5/101, later 30.5/101 and 70.5/101.
    by_hand = (30.5 - 60.5) / 101 * math.log(30.5 / 60.5) + (70.5 - 40.5) / 101 * math.log(70.5 / 40.5)
    assert population_stability_index(np.array([60, 40]), np.array([30, 70])) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.3681, abs=1e-4)
    # Without the halves, 0.6 → 0.3 and 0.4 → 0.7: -0.3 ln 0.5 + 0.3 ln 1.75 = 0.3758.
    many = population_stability_index(np.array([600_000, 400_000]), np.array([300_000, 700_000]))
    assert many == pytest.approx(0.3 * math.log(2) + 0.3 * math.log(1.75), abs=1e-5)


def test_an_empty_bin_gives_a_finite_index() -> None:
    # 100.5/101 and 0.5/101 against the reverse: 2 × 100/101 × ln 201.
    found = population_stability_index(np.array([100, 0]), np.array([0, 100]))
    assert found == pytest.approx(200 / 101 * math.log(201))


@settings(max_examples=100, deadline=None)
@given(counts)
def test_it_is_symmetric_not_negative_and_ignores_the_order_of_bins(pairs: list[tuple[int, int]]) -> None:
    base, later = np.array(pairs).T
    psi = population_stability_index(base, later)
    assert psi >= 0
    assert math.isfinite(psi)
    assert psi == pytest.approx(population_stability_index(later, base))
    assert psi == pytest.approx(population_stability_index(base[::-1], later[::-1]))
    assert population_stability_index(base, base) == 0
    p, q = ((part + 0.5) / (part + 0.5).sum() for part in (later, base))
    assert psi == pytest.approx(entropy(p, q) + entropy(q, p), abs=1e-9)  # Jeffreys' divergence


def test_two_samples_of_one_population_exceed_what_chance_explains_in_a_twentieth_of_cases() -> None:
    rng, shares = np.random.default_rng(0), np.array([0.1, 0.2, 0.3, 0.25, 0.15])
    psi = [population_stability_index(rng.multinomial(4000, shares), rng.multinomial(500, shares)) for _ in range(2000)]
    assert 0.035 < np.mean(np.array(psi) > psi_by_chance(5, 4000, 500)) < 0.065
    assert psi_by_chance(1, 10, 10) == 0


def test_items_are_grouped_by_the_share_of_events_that_they_have() -> None:
    base = np.repeat(np.arange(20), np.r_[np.full(10, 9), np.full(10, 1)])  # ten popular items, ten rare ones
    in_base, later, unknown = by_popularity(base, np.array([0, 0, 9, 19, 77, -5]))
    assert len(in_base) == len(later) == GROUPS
    assert in_base.sum() == 100
    assert in_base.max() <= 19
    assert later.sum() == 4
    assert later[0] == 2
    assert later[-1] == 1
    assert unknown == 2


def test_activity_counts_events_per_user_and_day_in_powers_of_two() -> None:
    day = 86_400
    rows = [(1, movie, 1, 10) for movie in range(5)]  # 5 on one day: the bin of 5 to 8
    rows += [(1, 9, 1, day), (1, 8, 1, 2 * day - 1)]  # 2 on the next day
    rows += [(2, 9, 1, day)]  # 1 of another user
    rows += [(3, movie, 1, 0) for movie in range(600)]
    assert by_activity(events(rows[::-1])).tolist() == [1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    assert by_activity(events([])).sum() == 0


def test_a_change_of_one_property_shows_in_that_measure_alone() -> None:
    rng = np.random.default_rng(2)

    def drawn(number: int, first: int, raised: bool = False, only: int = 0, together: int = 1) -> Events:
        users = np.repeat(np.arange(number // together), together) + first
        movies = rng.zipf(1.5, number) % 200 if not only else rng.integers(100, 100 + only, number)
        codes = np.minimum(rng.integers(1, 11, number) + 4 * raised, 10)
        return Events(users, movies, codes.astype(np.uint8), np.full(number, 10 * 86_400))

    base = drawn(20_000, 0)

    def above(later: Events) -> set[str]:
        return {one.measure for one in measure_stability(base, later, 11) if one.psi > max(0.1, one.by_chance)}

    assert above(drawn(4000, 10**6)) == set()
    assert above(drawn(4000, 10**6, raised=True)) == {"ratings"}
    assert above(drawn(4000, 10**6, only=9)) == {"catalogue"}
    assert above(drawn(4000, 10**6, together=8)) == {"activity"}


def test_no_later_events_are_no_drift_and_new_items_are_said() -> None:
    base = events([(1, 2, 3, 0), (1, 3, 4, 1)])
    assert [one.psi for one in measure_stability(base, events([]), 11)] == [0, 0, 0]
    found = {one.measure: one for one in measure_stability(base, events([(1, 9, 3, 9), (1, 2, 3, 9)]), 11)}
    assert found["catalogue"].note.startswith("50.0 % of the later events are of items without events in the base")
    assert found["catalogue"].later_events == 1
