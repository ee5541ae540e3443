"""Returns with simulated users: of every method, of controls that know the users, and with other mechanisms."""

from collections.abc import Collection, Mapping
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from evaluation.fitted_dataset import FittedParams
from evaluation.protocols.statistics import mean_interval
from evaluation.record import Record
from evaluation.report.sections.environment.choosers import (
    CONTROLS,
    GREEDY,
    IN_ALL_SETTINGS,
    by_critics,
    controls,
    tuned_price,
)
from evaluation.report.sections.environment.fit import Fit, measure_fit
from evaluation.report.sections.environment.simulation import Simulation, without_mechanisms
from models.critic_weight import without_critics
from models.environments.controls import of_policy
from models.environments.episodes import DatasetView, Episodes
from models.environments.fitted import STRENGTHS, Strength
from models.environments.returns import Returns, returns_of, roll_out
from models.histories import Scorer

Kind = Literal["policy", "critics", "baseline", "control"]


class EnvironmentParams(BaseModel):
    """How returns with simulated users are measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    users: int = Field(100, ge=2, le=100_000, description="Number of test users, at most; one episode each.")
    fitted_users: int = Field(
        50, ge=2, le=100_000, description="The same where users are fitted to ratings, often of a larger catalogue."
    )
    tuning_users: int = Field(
        50, ge=2, le=10_000, description="Number of training users on whom the plan's price is tuned."
    )
    seed: int = Field(0, ge=0, description="Seed of all that the users do.")
    critic_candidates: int = Field(
        200,
        ge=0,
        le=100_000,
        description="A policy whose critics do not re-rank is rolled out a second time, with this many items nearest to its action "
        "in the order of its critics; 0: it is not.",
    )
    fitted: FittedParams = Field(
        FittedParams(), description="How users are fitted to ratings that are not of simulated users."
    )
    strengths: tuple[Strength, ...] = Field(
        STRENGTHS,
        min_length=1,
        description="Strengths of their mechanisms that are compared; the first is that of the section's main table.",
    )


class Parts(Record):
    """Why a return is what it is: it is the number of recommendations × the share watched × the mean reward of those."""

    watched: float = Field(description="Share of the recommendations that is watched.")
    rating: float | None = Field(description="Mean rating of what is watched; none if nothing is.")
    boring: float = Field(description="Share of the recommendations of a topic that bores the user at that time.")


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
    parts: Parts | None = Field(None, description="None in reports of earlier versions.")


class Setting(Record):
    """Mean returns of the same methods with the same users and other mechanisms."""

    name: str
    returns: dict[str, float]


class Check(Record):
    """Where nothing lasts, no plan can beat the greedy control: if one does, the measurement is wrong."""

    setting: str
    best: str = Field(description="The method or control with the highest return, but for the greedy control.")
    gain: float = Field(description="Its return less that of the greedy control, on the same users.")
    low: float = Field(description="Lower end of the 95 % interval.")
    high: float = Field(description="Upper end of it.")

    @property
    def passed(self) -> bool:
        """Whether no gain is significant."""
        return self.low <= 0


class WithoutCritics(Record):
    """The return of one policy with its critics and without them, on the same users."""

    policy: str
    value: float
    without: float
    difference: float
    low: float = Field(description="Lower end of the difference's 95 % interval.")
    high: float = Field(description="Upper end of it.")


class EnvironmentSection(Record):
    """Returns with simulated users."""

    users: int
    horizon: int
    methods: tuple[MethodReturn, ...] = Field(description="The best first.")
    best_policy: str | None
    best_baseline: str | None
    critic_candidates: int = Field(
        0, description="Number of items that critics order in methods of the kind `critics`."
    )
    settings: tuple[Setting, ...] = Field(description="The first is the one of `methods`.")
    check: Check | None = Field(None, description="None if no setting is without mechanisms.")
    price: float = Field(description="Of appeal, of the plan.")
    fit: Fit | None = Field(None, description="None if the ratings are from these users.")
    without_critics: WithoutCritics | None = Field(
        None, description="Of the challenger, in the setting of `methods`; none if no critics re-rank what it ranks."
    )

    @property
    def controls(self) -> Mapping[str, str]:
        """What each control knows, by name."""
        return CONTROLS

    def named(self, name: str) -> MethodReturn:
        """The return of a method or control."""
        return next(one for one in self.methods if one.name == name)

    @property
    def explained(self) -> list[MethodReturn]:
        """Whose parts the page puts in words: the best policy, the best baseline, and who has the highest NDCG@10."""
        ranked = [one for one in self.methods if one.ndcg is not None]
        foremost = max(ranked, key=lambda one: one.ndcg or 0.0).name if ranked else None
        names = dict.fromkeys((self.best_policy, self.best_baseline, foremost))
        return [one for name in names if name is not None and (one := self.named(name)).parts is not None]

    @property
    def best_by_critics(self) -> MethodReturn | None:
        """The highest return of a policy whose items are ordered by its critics, although they do not re-rank."""
        return next((one for one in self.methods if one.kind == "critics"), None)


def measure_environment(
    simulation: Simulation,
    scorers: Mapping[str, Scorer],
    params: EnvironmentParams,
    *,
    baselines: Collection[str] = (),
    ndcg: Mapping[str, float] | None = None,
    challenger: str | None = None,
) -> EnvironmentSection | None:
    """Roll every method and control out with the same test users; None without test users.

    Args:
        simulation: the simulated users of the dataset.
        scorers: policies and baselines by name.
        params: sizes and seed.
        baselines: which of the names are baselines.
        ndcg: of the methods on test users, by name.
        challenger: the policy that is rolled out without its critics too.
    """
    rng = np.random.default_rng(params.seed)
    of_split = (simulation.rows[(simulation.split == code) & (simulation.rows >= 0)] for code in (2, 0))
    most = params.users if simulation.fitted is None else params.fitted_users
    rows, others = (
        np.sort(rng.permutation(part)[:count])
        for part, count in zip(of_split, (most, params.tuning_users), strict=True)
    )
    if len(rows) < 2:
        return None
    price = tuned_price(simulation, others, params.seed)
    ordered = by_critics(scorers, params.critic_candidates)
    choosers = {name: of_policy(scorer) for name, scorer in {**scorers, **ordered}.items()}
    choosers |= controls(price, params.seed)
    kinds: dict[str, Kind] = {**dict.fromkeys(scorers, "policy"), **dict.fromkeys(baselines, "baseline")}
    kinds |= {**dict.fromkeys(ordered, "critics"), **dict.fromkeys(CONTROLS, "control")}
    main = next(iter(simulation.settings))
    found = {}
    for setting, users in simulation.settings.items():
        # All choosers meet the same first frames and the same random numbers at each step: differences vary little.
        begun = Episodes(users, simulation.view, rows, np.random.default_rng(params.seed))
        found[setting] = {
            name: roll_out(one, begun.copy())
            for name, one in choosers.items()
            if setting == main or name in scorers or name in IN_ALL_SETTINGS
        }
    means = {name: float(one.values.mean()) for name, one in found[main].items()}
    uncritical = None
    if challenger is not None and (part := without_critics(scorers[challenger])) is not None:
        less = returns_of(of_policy(part), simulation.users, simulation.view, rows, params.seed).values
        difference, low, high = mean_interval(found[main][challenger].values - less, params.seed)
        uncritical = WithoutCritics(
            policy=challenger, value=means[challenger], without=float(less.mean()), difference=difference, low=low, high=high
        )  # fmt: skip
    best_baseline = max((name for name in baselines if name in means), key=means.__getitem__, default=None)
    policies = [name for name in scorers if name not in baselines]
    return EnvironmentSection(
        users=len(rows),
        horizon=simulation.users.mechanics.horizon,
        methods=_methods(found[main], kinds, best_baseline, ndcg or {}, simulation.view, params.seed),
        best_policy=max(policies, key=means.__getitem__, default=None),
        best_baseline=best_baseline,
        critic_candidates=params.critic_candidates,
        settings=tuple(
            Setting(name=setting, returns={name: float(one.values.mean()) for name, one in returns.items()})
            for setting, returns in found.items()
        ),
        check=next(
            (
                _check(setting, found[setting], params.seed)
                for setting, users in simulation.settings.items()
                if without_mechanisms(users.mechanics)
            ),
            None,
        ),
        price=price,
        fit=None if simulation.fitted is None else measure_fit(simulation.fitted),
        without_critics=uncritical,
    )


def _methods(
    found: Mapping[str, Returns],
    kinds: Mapping[str, Kind],
    best_baseline: str | None,
    ndcg: Mapping[str, float],
    view: DatasetView,
    seed: int,
) -> tuple[MethodReturn, ...]:
    """The returns of every method and control, the best first."""
    methods = []
    for name, one in found.items():
        mean, low, high = mean_interval(one.values, seed)
        gains = {}
        if best_baseline is not None:
            gain = mean_interval(one.values - found[best_baseline].values, seed)
            gains = dict(zip(("gain", "gain_low", "gain_high"), gain, strict=True))
        methods.append(
            MethodReturn(
                name=name, kind=kinds[name], value=mean, low=low, high=high, length=float(one.lengths.mean()), ndcg=ndcg.get(name),
                parts=_parts(one, view), **gains,
            )
        )  # fmt: skip
    return tuple(sorted(methods, key=lambda one: -one.value))


def _parts(found: Returns, view: DatasetView) -> Parts:
    watched, shown = int(found.watched.sum()), found.lengths.sum()
    rating = (found.values.sum() / watched - view.offset) / view.scale if watched else None
    return Parts(watched=watched / shown, rating=rating, boring=float(found.boring.sum() / shown))


def _check(setting: str, found: Mapping[str, Returns], seed: int) -> Check:
    others = {name: one.values for name, one in found.items() if name != GREEDY}
    best = max(others, key=lambda name: float(others[name].mean()))
    gain, low, high = mean_interval(others[best] - found[GREEDY].values, seed)
    return Check(setting=setting, best=best, gain=gain, low=low, high=high)
