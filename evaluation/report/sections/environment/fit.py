"""How well fitted users predict what they were not fitted to: later ratings of test users, and how long those stay."""

from typing import Any

import numpy as np
import torch
from pydantic import Field

from evaluation.fitted_dataset import FittedDataset, Later
from evaluation.protocols.statistics import mean_interval
from evaluation.record import Record
from models.environments.sessions import mean_length
from models.environments.users import Bools, bores
from models.environments.world import Doubles

BINS = 10


class PredictionError(Record):
    """The errors of predicted ratings, in the scale of the dataset, over all later events of test users."""

    name: str
    rmse: float
    mae: float


class CalibrationBin(Record):
    """A tenth of the later events, by predicted rating."""

    predicted: float = Field(description="Mean predicted rating.")
    observed: float = Field(description="Mean rating.")


class SessionFit(Record):
    """How long test users go on after their first F events, at most the horizon, and how long simulated users do."""

    logged: tuple[float, ...] = Field(description="Share that goes on after 0, 1 … horizon events.")
    simulated: tuple[float, ...]
    logged_mean: float = Field(description="Mean number of events.")
    simulated_mean: float
    distance: float = Field(description="The largest difference between the two shares (Kolmogorov-Smirnov).")


class LoggedBoredom(Record):
    """What the log shows of boredom: later choices of test users that would bore simulated users, beside their other choices."""

    share: float = Field(
        description="Of the later events, of a topic that bores simulated users after the same events."
    )
    difference: float = Field(description="Their rating less its prediction without boredom, against the other events.")
    low: float = Field(description="Lower end of the difference's 95 % interval over users.")
    high: float = Field(description="Upper end of it.")
    assumed: float = Field(description="The same difference of simulated users.")


class Fit(Record):
    """What was fitted, and how well it predicts."""

    users: int = Field(description="Test users whose later ratings are predicted.")
    events: int = Field(description="Those ratings.")
    errors: tuple[PredictionError, ...] = Field(
        description="Of the global mean, of user's and item's means, of the model."
    )
    calibration: tuple[CalibrationBin, ...]
    sessions: SessionFit
    noise: float = Field(description="Standard deviation of a rating around its prediction, on validation users.")
    acceptance_slope: float
    exit_rate: float
    choices: dict[str, float] = Field(description="Weights of users' own choices.")
    boredom: LoggedBoredom | None = Field(None, description="None if fewer than two users have choices of both kinds.")


def measure_fit(fitted: FittedDataset) -> Fit | None:
    """Predict the later ratings and the length of stay of test users; None if there are none."""
    later = fitted.later("test")
    if len(later.events) == 0:
        return None
    items, people, users = fitted.data.item[later.events].long(), later.users, fitted.users
    ratings = fitted.ratings(later)
    liking = users.world.affinity(people.numpy(), items.numpy()[:, None])[:, 0]
    predicted = users.ratings.mean(liking, users.world.leniency[people.numpy()])
    model = fitted.items.model
    biased = fitted.scale.ratings(model.mean + fitted.people.lean[people] + model.quality[items])
    mean = fitted.scale.ratings(model.mean).item()
    bounds = fitted.scale.lowest, fitted.scale.highest
    mechanics, choices = users.mechanics, users.choices
    return Fit(
        users=len(torch.unique(people)),
        events=len(ratings),
        errors=(
            error("global mean", np.full_like(ratings, mean), ratings),
            error("user's and item's means", np.clip(biased, *bounds), ratings),
            error("this model", predicted, ratings),
        ),
        calibration=tuple(
            CalibrationBin(predicted=float(predicted[part].mean()), observed=float(ratings[part].mean()))
            for part in np.array_split(np.argsort(predicted, kind="stable"), BINS)
            if len(part)
        ),
        sessions=session_fit(fitted.logged_survival("test"), fitted.simulated_survival("test")),
        noise=fitted.fit.noise,
        acceptance_slope=mechanics.acceptance_slope,
        exit_rate=mechanics.exit_rate,
        choices={"affinity": choices.affinity, "similarity": choices.similarity},
        boredom=logged_boredom(fitted, later, ratings - predicted),
    )


def error(name: str, predicted: Doubles, ratings: Doubles) -> PredictionError:
    """Root of the mean squared error, and mean absolute error."""
    rest = predicted - ratings
    return PredictionError(name=name, rmse=float(np.sqrt(np.square(rest).mean())), mae=float(np.abs(rest).mean()))


def logged_boredom(fitted: FittedDataset, later: Later, rest: Doubles) -> LoggedBoredom | None:
    """Compare what is left of the ratings of later events after their prediction, (N,): of boring topics, and of others."""
    boring = boring_choices(fitted, later)
    users, places = np.unique(later.users.numpy(), return_inverse=True)

    def means(part: Bools) -> Doubles:
        counts = np.bincount(places[part], minlength=len(users)).astype(np.float64)
        counts[counts == 0] = np.nan
        return np.asarray(np.bincount(places[part], rest[part], len(users)) / counts)

    differences = means(boring) - means(~boring)
    differences = differences[np.isfinite(differences)]
    if len(differences) < 2:
        return None
    difference, low, high = mean_interval(differences, fitted.params.seed)
    assumed = -fitted.users.mechanics.boredom * fitted.users.ratings.slope
    return LoggedBoredom(share=float(boring.mean()), difference=difference, low=low, high=high, assumed=assumed)


def boring_choices(fitted: FittedDataset, later: Later) -> Bools:
    """Whether each later event is of a topic that bores simulated users who watched all that the user did before it: (N,)."""
    users, data = fitted.users, fitted.data
    rows, places = np.unique(later.users.numpy(), return_inverse=True)
    begin = data.head.offset[fitted.chosen.numpy()[rows]]
    end = begin.copy()
    np.maximum.at(end, places, later.events.numpy() + 1)
    states, found = users.start(rows), np.zeros(len(data.item), dtype=bool)
    for step in range(int((end - begin).max())):
        active = np.flatnonzero(begin + step < end)
        events, latest, bored = begin[active] + step, states.latest[active], states.bored[active]
        topics = users.world.topics[data.item[torch.from_numpy(events)].numpy()]
        found[events] = bores(bored, topics[:, None])[:, 0]
        users.bore(latest, bored, topics)
        states.latest[active], states.bored[active] = latest, bored
    return np.asarray(found[later.events.numpy()])


def session_fit(logged: Doubles, simulated: Doubles) -> SessionFit:
    """Compare two survivals (horizon + 1,)."""
    values: dict[str, Any] = {"logged": tuple(logged.tolist()), "simulated": tuple(simulated.tolist())}
    return SessionFit(
        **values,
        logged_mean=mean_length(logged),
        simulated_mean=mean_length(simulated),
        distance=float(np.abs(logged - simulated).max()),
    )
