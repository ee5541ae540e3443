"""Returns with simulated users: of every method, of controls that know the truth, and without each mechanism."""

from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from evaluation.protocols.statistics import bootstrap_intervals
from evaluation.record import Record
from evaluation.simulated_dataset import SimulatedDataset
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
from models.environments.mechanics import MECHANISMS
from models.environments.returns import returns_of
from models.environments.users import SimulatedUsers
from models.environments.world import Doubles, Ints
from models.histories import Scorer

Kind = Literal["policy", "baseline", "control"]
PRICES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of appeal, tried for the plan
GREEDY, PLAN = "greedy on the true reward", "plan that knows the mechanisms"
CONTROLS: Mapping[str, str] = {
    "random items": "any item",
    "most chosen items": "the same items for everybody",
    "true liking, no state": "knows what each user likes at the start, not what bores them or what satisfies them now",
    GREEDY: "knows what each user likes at every step, and takes the best next reward",
    "one step ahead": "the same, with the best reward of the step after",
    PLAN: "the true liking at every step, less a price for appeal that was tuned on other users",
}


class EnvironmentParams(BaseModel):
    """How returns with simulated users are measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: int = Field(100, ge=2, le=100_000, description="At most so many test users, one episode each.")
    tuning_users: int = Field(50, ge=2, le=10_000, description="Training users on whom the plan's price is tuned.")
    seed: int = Field(0, ge=0, description="Of all that the users do.")


class MethodReturn(Record):
    """The return of one method: the sum of an episode's rewards, a mean over users."""

    name: str
    kind: Kind
    value: float
    low: float = Field(description="Lower end of the 95 % bootstrap interval over users.")
    high: float = Field(description="Upper end of it.")
    length: float = Field(description="Mean number of recommendations until the user leaves or the horizon is reached.")
    ndcg: float | None = Field(None, description="NDCG@10 of the next item on test users; none for controls.")
    gain: float | None = Field(None, description="Return less that of the best baseline, on the same users.")
    gain_low: float | None = Field(None, description="Lower end of the gain's 95 % interval.")
    gain_high: float | None = Field(None, description="Upper end of it.")


class Setting(Record):
    """Returns of some methods when mechanisms are switched off."""

    off: tuple[str, ...] = Field(description="The mechanisms that are switched off.")
    returns: dict[str, float]


class EnvironmentSection(Record):
    """Returns with simulated users."""

    users: int
    horizon: int
    methods: tuple[MethodReturn, ...] = Field(description="The best first.")
    best_policy: str | None
    best_baseline: str | None
    settings: tuple[Setting, ...] = Field(description="The first has all mechanisms.")
    price: float = Field(description="Of appeal, of the plan.")

    @property
    def controls(self) -> Mapping[str, str]:
        """What each control knows, by name."""
        return CONTROLS

    def named(self, name: str) -> MethodReturn:
        """The return of a method or control."""
        return next(one for one in self.methods if one.name == name)


def measure_environment(
    simulated: SimulatedDataset,
    scorers: Mapping[str, Scorer],
    params: EnvironmentParams,
    *,
    baselines: Collection[str] = (),
    ndcg: Mapping[str, float] | None = None,
) -> EnvironmentSection | None:
    """Roll every method and control out with the same test users; None without test users.

    Args:
        simulated: the dataset and the users behind it.
        scorers: policies and baselines by name.
        params: sizes and seed.
        baselines: which of the names are baselines.
        ndcg: of the methods on test users, by name.
    """
    split = simulated.data.user_split
    rows, others = (simulated.rows[split == code] for code in (2, 0))
    rng = np.random.default_rng(params.seed)
    rows, others = (
        np.sort(rng.permutation(part)[:count]) for part, count in ((rows, params.users), (others, params.tuning_users))
    )
    if len(rows) < 2:
        return None
    price = _tuned_price(simulated, others, params.seed)
    choosers = {name: of_policy(scorer) for name, scorer in scorers.items()} | _controls(price, params.seed)
    found = {
        name: returns_of(chooser, simulated.users, simulated.catalogue, rows, params.seed)
        for name, chooser in choosers.items()
    }
    means = {name: float(one.values.mean()) for name, one in found.items()}
    best_baseline = max((name for name in baselines if name in means), key=means.__getitem__, default=None)
    policies = [name for name in scorers if name not in baselines]
    best_policy = max(policies, key=means.__getitem__, default=None)
    methods = []
    for name, one in found.items():
        kind: Kind = "control" if name in CONTROLS else "baseline" if name in baselines else "policy"
        low, high = bootstrap_intervals(one.values[:, None], params.seed)[0].tolist()
        gains = {} if best_baseline is None else _gain(one.values, found[best_baseline].values, params.seed)
        methods.append(
            MethodReturn(
                name=name, kind=kind, value=means[name], low=low, high=high, length=float(one.lengths.mean()),
                ndcg=(ndcg or {}).get(name), **gains,
            )
        )  # fmt: skip
    shown = [name for name in (best_policy, best_baseline, "true liking, no state", GREEDY, PLAN) if name is not None]
    return EnvironmentSection(
        users=len(rows),
        horizon=simulated.users.mechanics.horizon,
        methods=tuple(sorted(methods, key=lambda one: -one.value)),
        best_policy=best_policy,
        best_baseline=best_baseline,
        settings=_settings(simulated, {name: choosers[name] for name in shown}, rows, params.seed),
        price=price,
    )


def _controls(price: float, seed: int) -> dict[str, Chooser]:
    choosers = (random_items(seed), most_popular, static_ranker, greedy, look_ahead, planned(price))
    return dict(zip(CONTROLS, choosers, strict=True))


def _tuned_price(simulated: SimulatedDataset, rows: Ints, seed: int) -> float:
    """The price of `PRICES` with the highest return on these users."""
    values = {
        price: returns_of(planned(price), simulated.users, simulated.catalogue, rows, seed).values.mean()
        for price in PRICES
    }
    return max(PRICES, key=values.__getitem__)


def _gain(values: Doubles, others: Doubles, seed: int) -> dict[str, float]:
    difference = values - others
    low, high = bootstrap_intervals(difference[:, None], seed)[0].tolist()
    return {"gain": float(difference.mean()), "gain_low": low, "gain_high": high}


def _settings(
    simulated: SimulatedDataset, choosers: Mapping[str, Chooser], rows: Ints, seed: int
) -> tuple[Setting, ...]:
    """The same choosers with all mechanisms, without each, and without any."""
    mechanics = simulated.users.mechanics
    working = [name for name in MECHANISMS if mechanics.without(name) != mechanics]
    found = []
    for off in ((), *((name,) for name in working), tuple(working)):
        users = SimulatedUsers(simulated.users.world, mechanics.without(*off))
        returns = {name: returns_of(one, users, simulated.catalogue, rows, seed) for name, one in choosers.items()}
        found.append(Setting(off=off, returns={name: float(one.values.mean()) for name, one in returns.items()}))
    return tuple(found)
