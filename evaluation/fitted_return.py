"""A selection criterion from a log alone: the mean return of validation users in the environment that is fitted to the log."""

import numpy as np

from evaluation.fitted_dataset import FittedDataset, FittedParams
from models.environments.controls import of_policy
from models.environments.episodes import Episodes
from models.environments.returns import roll_out
from models.histories import Scorer
from storage.dataset.reader import TransitionDataset

USERS = 50


class FittedReturn:
    """The mean return of a policy with simulated users who are fitted to a dataset's training and validation users.

    No event of a test user has a part in it.
    """

    def __init__(self, data: TransitionDataset, params: FittedParams, seed: int, device: str = "cpu") -> None:
        """Fit the users.

        Args:
            data: on the CPU.
            params: of the fit.
            seed: draws the users and all that they do, the same for every policy.
            device: of torch, where the policies are.
        """
        self.fitted, self.device = FittedDataset(data, params, ("train", "validation")), device
        rows = self.fitted.rows[data.user_split == 1]
        self.rows = np.sort(np.random.default_rng(seed).permutation(rows[rows >= 0])[:USERS])
        self.begun = Episodes(self.fitted.users, self.fitted.view, self.rows, np.random.default_rng(seed))

    def of(self, scorer: Scorer) -> float:
        """The mean return of a policy."""
        return float(roll_out(of_policy(scorer, self.device), self.begun.copy()).values.mean())
