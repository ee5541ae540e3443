"""Who is rolled out beside the methods: policies in the order of their critics, and controls that know the users."""

import math
from collections.abc import Mapping

import numpy as np

from evaluation.report.sections.environment.simulation import Simulation
from models.critic_weight import with_critic_weight, without_critics
from models.environments.controls import Chooser, greedy, look_ahead, most_popular, planned, random_items, static_ranker
from models.environments.episodes import Episodes
from models.environments.returns import roll_out
from models.environments.world import Ints
from models.histories import Scorer

PRICES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of appeal, tried for the plan
GREEDY, PLAN = "greedy on the true reward", "plan that knows the mechanisms"
CONTROLS: Mapping[str, str] = {
    "random items": "knows nothing",
    "most chosen items": "recommends the same items to everybody",
    "true liking, no state": "knows what each user likes at the start, not what bores them or what satisfies them now",
    GREEDY: "knows what each user likes at every step, and takes the best next reward",
    "one step ahead": "the same, with the best reward of the step after",
    PLAN: "the true liking at every step, minus a price for appeal that was tuned on other users",
}

IN_ALL_SETTINGS = ("random items", "most chosen items", "true liking, no state", GREEDY, PLAN)  # the other takes long


def by_critics(scorers: Mapping[str, Scorer], candidates: int) -> dict[str, Scorer]:
    """The policies whose critics do not re-rank, with their critics' order of this many of their best items."""
    if candidates == 0:
        return {}
    idle = {name: one for name, one in scorers.items() if without_critics(one) is None}
    found = {name: with_critic_weight(one, math.inf, candidates) for name, one in idle.items()}
    return {f"{name} by its critics": one for name, one in found.items() if one is not None}


def controls(price: float, seed: int) -> dict[str, Chooser]:
    """The controls by name, with the plan's price of appeal."""
    choosers = (random_items(seed), most_popular, static_ranker, greedy, look_ahead, planned(price))
    return dict(zip(CONTROLS, choosers, strict=True))


def tuned_price(simulation: Simulation, rows: Ints, seed: int) -> float:
    """The price of `PRICES` with the highest return on these users."""
    begun = Episodes(simulation.users, simulation.view, rows, np.random.default_rng(seed))
    values = {price: roll_out(planned(price), begun.copy()).values.mean() for price in PRICES}
    return max(PRICES, key=values.__getitem__)
