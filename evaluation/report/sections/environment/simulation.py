"""The simulated users of a dataset: those that its ratings are from, or users that are fitted to it."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation.fitted_dataset import FittedDataset
from evaluation.simulated_dataset import SimulatedDataset
from models.environments.episodes import DatasetView
from models.environments.fitted import Strength
from models.environments.mechanics import MECHANISMS, Mechanics
from models.environments.users import SimulatedUsers
from models.environments.world import Ints


class Simulation(NamedTuple):
    """The simulated users of a dataset.

    view: how policies see them; rows (U,): the row of each of the dataset's users in their world, -1 if there is none; split (U,):
    as in the dataset; settings: by name the same users with other mechanics, first those that the section is about; fitted: None
    if the users are known.
    """

    view: DatasetView
    rows: Ints
    split: NDArray[np.uint8]
    settings: Mapping[str, SimulatedUsers]
    fitted: FittedDataset | None = None

    @property
    def users(self) -> SimulatedUsers:
        """Those that the section is about."""
        return next(iter(self.settings.values()))


def known_simulation(simulated: SimulatedDataset) -> Simulation:
    """The users that generated ratings are from: with all mechanisms, without each, and without any."""
    users, mechanics = simulated.users, simulated.users.mechanics
    working = [name for name in MECHANISMS if mechanics.without(name) != mechanics]
    settings = {"all mechanisms": users}
    for name in working:
        settings[f"without {name.replace('_', '-')}"] = users.with_mechanics(mechanics.without(name))
    settings["no mechanism"] = users.with_mechanics(mechanics.without(*working))
    return Simulation(simulated.view, simulated.rows, simulated.data.user_split, settings)


def fitted_simulation(fitted: FittedDataset, strengths: tuple[Strength, ...]) -> Simulation:
    """Users that are fitted to a dataset, with mechanisms of each strength; they stay as long on average with each."""
    settings = {strength.name: fitted.with_strength(strength) for strength in strengths}
    return Simulation(fitted.view, fitted.rows, fitted.data.user_split, settings, fitted)


def without_mechanisms(mechanics: Mechanics) -> bool:
    """Whether nothing lasts: then no plan can beat the best next reward."""
    return mechanics.without(*MECHANISMS) == mechanics
