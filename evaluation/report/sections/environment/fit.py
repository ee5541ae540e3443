"""How well fitted users predict what they were not fitted to: later ratings of test users, and how long those stay."""

from typing import Any

import numpy as np
import torch
from pydantic import Field

from evaluation.fitted_dataset import FittedDataset
from evaluation.record import Record
from models.environments.sessions import mean_length
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
    )


def error(name: str, predicted: Doubles, ratings: Doubles) -> PredictionError:
    """Root of the mean squared error, and mean absolute error."""
    rest = predicted - ratings
    return PredictionError(name=name, rmse=float(np.sqrt(np.square(rest).mean())), mae=float(np.abs(rest).mean()))


def session_fit(logged: Doubles, simulated: Doubles) -> SessionFit:
    """Compare two survivals (horizon + 1,)."""
    values: dict[str, Any] = {"logged": tuple(logged.tolist()), "simulated": tuple(simulated.tolist())}
    return SessionFit(
        **values,
        logged_mean=mean_length(logged),
        simulated_mean=mean_length(simulated),
        distance=float(np.abs(logged - simulated).max()),
    )
