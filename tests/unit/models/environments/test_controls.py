"""What the controls show: where planning pays, and that nothing beats greed where nothing lasts."""

import numpy as np
import pytest
import torch
from torch import Tensor

from models.environments.controls import (
    Chooser,
    greedy,
    look_ahead,
    most_popular,
    of_policy,
    planned,
    random_items,
    static_ranker,
)
from models.environments.marquee import MarqueeParams, Problem
from models.environments.mechanics import MECHANISMS, Mechanics
from models.environments.returns import returns_of
from models.histories import Histories

USERS = np.arange(60)


def value(chooser: Chooser, mechanics: Mechanics, seed: int = 0) -> float:
    problem = Problem.drawn(MarqueeParams(users=60, items=300, mechanics=mechanics))
    return float(returns_of(chooser, problem.users, problem.view, USERS, seed).values.mean())


def test_controls_are_in_order_where_planning_pays() -> None:
    found = [value(each, Mechanics()) for each in (random_items(0), static_ranker, greedy, look_ahead, planned(0.5))]
    assert found == sorted(found)
    assert found[4] > 1.2 * found[2]
    assert value(most_popular, Mechanics()) < found[2]


def test_no_plan_beats_greed_without_mechanisms() -> None:
    """Then a ranker that knows no state is as good as one that does."""
    off = Mechanics().without(*MECHANISMS)
    best = value(greedy, off)
    assert value(static_ranker, off) == pytest.approx(best, rel=0.02)
    for other in (planned(0.3), planned(0.6), most_popular, random_items(0)):
        assert value(other, off) < best


def test_each_mechanism_costs_greed_something() -> None:
    off = Mechanics().without(*MECHANISMS)
    alone = {
        name: value(greedy, Mechanics().without(*(other for other in MECHANISMS if other != name)))
        for name in ("boredom", "after_effect")
    }
    assert max(alone.values()) < value(greedy, off)


class Scores:
    """A policy that scores items by a fixed vector and refuses histories that are not as the dataset's."""

    def __init__(self, scores: Tensor) -> None:
        self.of_items = scores

    def scores(self, histories: Histories) -> Tensor:
        assert (histories.items[:, -10:] >= 0).all()
        assert (histories.rewards[histories.items < 0] == 0).all()
        return self.of_items.expand(len(histories.items), -1)


def test_a_policy_is_rolled_out_as_a_control_is() -> None:
    problem = Problem.drawn(MarqueeParams(users=60, items=300))
    popularity = torch.from_numpy(problem.users.world.popularity)
    one, other = (
        returns_of(each, problem.users, problem.view, USERS, 3)
        for each in (most_popular, of_policy(Scores(popularity)))
    )
    assert one.values.tolist() == other.values.tolist()
    assert one.lengths.tolist() == other.lengths.tolist()
    assert one.lengths.max() <= 60


def test_what_happens_after_the_end_does_not_count() -> None:
    """Users who watch whatever is recommended watch as many items as they were recommended, though others go on."""
    mechanics = Mechanics(acceptance=10, acceptance_slope=0, exit_rate=0.1, horizon=20)
    problem = Problem.drawn(MarqueeParams(users=60, items=100, mechanics=mechanics))
    found = returns_of(random_items(0), problem.users, problem.view, USERS, 0)
    assert found.lengths.min() < found.lengths.max() == 20
    assert (found.watched >= found.lengths - 1).all()  # P(watch) is σ(10)
    assert (found.watched <= found.lengths).all()
    assert 0 < found.boring.sum() < found.lengths.sum()
    assert (found.boring <= found.lengths).all()
