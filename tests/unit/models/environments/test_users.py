"""Each mechanism of the simulated users, worked out by hand, and the chances against draws."""

import numpy as np
import pytest

from models.environments.mechanics import MECHANISMS, Mechanics
from models.environments.ratings import Ratings
from models.environments.users import SimulatedUsers
from models.environments.world import World

ALWAYS = {"acceptance": 10.0, "acceptance_slope": 0.0}  # watch whatever is recommended


def world(users: int = 1) -> World:
    """Items 0 to 5 of topic 0 and 6 to 8 of topic 1, which nobody likes more than others; item 5 has an appeal of 2."""
    none = np.zeros(9, np.float32)
    appeal = none.copy()
    appeal[5] = 2
    contents = np.tile(np.array([[0, 1]], np.float32), (9, 1))
    tastes = np.tile(np.array([[1, 0]], np.float32), (users, 1))
    topics = np.array([0] * 6 + [1] * 3)
    return World(tastes, contents, none, appeal, topics, none, np.zeros(users, np.float32))


def watched(users: SimulatedUsers, items: list[int]) -> list[float]:
    """The liking of each item in turn when it is recommended, of one user."""
    states, rng, found = users.start(np.array([0])), np.random.default_rng(0), []
    for item in items:
        found.append(float(users.liking(states, np.array([[item]]))[0, 0]))
        assert users.react(states, np.array([item]), rng).watched[0]
    return found


def test_three_items_of_a_topic_bore_for_as_many_items_as_said() -> None:
    off = Mechanics(**ALWAYS, satisfaction=0).without("after_effect", "exit")
    users = SimulatedUsers(world(), off.model_copy(update={"bored_for": 2, "boredom": 3.0, "appeal": 0.0}))
    assert watched(users, [0, 1, 6, 2, 7, 8, 3]) == [0] * 7  # two other items, and it interests again
    assert watched(users, [0, 1, 6, 2, 7, 3]) == [0, 0, 0, 0, 0, -3]
    assert watched(users, [0, 1, 2, 3, 6, 7, 4]) == [0, 0, 0, -3, 0, 0, 0]


def test_boredom_counts_only_the_latest_items() -> None:
    off = Mechanics(**ALWAYS, satisfaction=0).without("after_effect", "exit")
    users = SimulatedUsers(world(), off.model_copy(update={"bored_within": 3, "boredom": 3.0}))
    assert watched(users, [0, 1, 6, 2, 7, 3]) == [0] * 6  # never three in a row


def test_appeal_pleases_now_and_costs_satisfaction_later() -> None:
    users = SimulatedUsers(
        world(),
        Mechanics(**ALWAYS, appeal=0.5, after_effect=0.2, memory=0.8, satisfaction=1.0).without("boredom", "exit"),
    )
    # m = 0.2 * 1 - 0.2 * 2 = -0.2 after item 5; then 0.8 * -0.2 = -0.16 after item 6
    assert watched(users, [5, 6, 7]) == pytest.approx([1.0, -0.2, -0.16])
    assert watched(SimulatedUsers(users.world, users.mechanics.without("after_effect")), [5, 6]) == pytest.approx(
        [1, 0.2]
    )


def test_satiation_grows_smoothly_with_the_topics_share() -> None:
    off = Mechanics(**ALWAYS, satisfaction=0, satiation=1.0, bored_within=4).without("after_effect", "exit", "boredom")
    assert watched(SimulatedUsers(world(), off), [0, 1, 2, 6]) == [0, -0.25, -0.5, 0]
    states = SimulatedUsers(world(), off).start(np.array([0]))
    assert SimulatedUsers(world(), off).liking(states).shape == (1, 9)


def test_refusals_cost_satisfaction_and_items_are_watched_once() -> None:
    users = SimulatedUsers(world(2), Mechanics(acceptance=-10, acceptance_slope=0, memory=0.5, refusal=1.0))
    states, rng = users.start(np.array([0, 1])), np.random.default_rng(0)
    reactions = users.react(states, np.array([5, 6]), rng)  # item 5 has an appeal
    assert not reactions.watched.any()
    assert reactions.stars.tolist() == [0, 0]
    assert states.satisfaction.tolist() == [-0.5, -0.5]
    assert (states.latest == -1).all()
    willing = SimulatedUsers(world(), Mechanics(**ALWAYS))
    again = willing.start(np.array([0]))
    assert [bool(willing.react(again, np.array([3]), rng).watched[0]) for _ in range(2)] == [True, False]


def test_the_chance_to_leave_falls_with_satisfaction() -> None:
    users = SimulatedUsers(world(), Mechanics(exit_rate=0.1, exit_slope=1.0))
    chances = users.chance_to_leave(np.array([-10.0, 0.0, 1.0]))
    assert chances.tolist() == pytest.approx([1.0, 0.1, 0.1 / np.e])
    same = SimulatedUsers(world(), users.mechanics.without("exit")).chance_to_leave(np.array([-10.0, 1.0]))
    assert same.tolist() == pytest.approx([0.1, 0.1])


def test_reactions_are_drawn_with_the_stated_chances() -> None:
    mechanics = Mechanics(exit_rate=0.3, acceptance=0.5)
    users = SimulatedUsers(world(20_000), mechanics)
    states = users.start(np.arange(20_000))
    liking = users.liking(states, np.full((20_000, 1), 5))
    expected = users.expected_stars(states, liking)
    reactions = users.react(states, np.full(20_000, 5), np.random.default_rng(3))
    assert reactions.watched.mean() == pytest.approx(users.chance_to_watch(liking).mean(), abs=0.01)
    assert reactions.stars[reactions.watched].mean() == pytest.approx(expected.mean(), abs=0.02)
    assert reactions.left.mean() == pytest.approx(users.chance_to_leave(states.satisfaction).mean(), abs=0.01)


@pytest.mark.parametrize("ratings", [Ratings(), Ratings(lowest=-10, highest=10, step=4, middle=1, slope=3, noise=2.5)])
def test_mean_ratings_are_those_of_draws(ratings: Ratings) -> None:
    lenient = np.zeros(200_000)
    for liking in (-4.0, -1.0, 0.1, 2.0):
        drawn = ratings.drawn(np.full(200_000, liking), lenient, np.random.default_rng(0))
        assert set(drawn) <= set(np.arange(ratings.lowest, ratings.highest + ratings.step, ratings.step))
        expected = ratings.mean(np.array([liking]), np.zeros(1))[0]
        assert expected == pytest.approx(drawn.mean(), abs=0.02 * ratings.step)


@pytest.mark.parametrize("name", MECHANISMS)
def test_a_mechanism_is_switched_off_by_its_name(name: str) -> None:
    off = Mechanics(satiation=1.0).without(name)
    assert [field for field, value in Mechanics(satiation=1.0) if getattr(off, field) != value] == list(
        MECHANISMS[name]
    )
