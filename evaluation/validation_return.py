"""The mean return of policies with simulated validation users of a dataset, by which checkpoints are chosen."""

import numpy as np

from evaluation.fitted_dataset import FittedDataset
from evaluation.simulated_dataset import SimulatedDataset
from models.environments.controls import of_policy
from models.environments.episodes import Episodes
from models.environments.returns import roll_out
from models.histories import Scorer

CRITERION_USERS = 50  # of the selection criterion fitted_return


class ValidationReturn:
    """The mean return of a policy with some of the simulated validation users of a dataset; no test user takes part."""

    def __init__(self, simulated: SimulatedDataset | FittedDataset, most: int, seed: int, device: str = "cpu") -> None:
        """Draw the users.

        Args:
            simulated: the dataset and its users.
            most: number of users, at most; one episode each.
            seed: draws the users and all that they do, the same for every policy.
            device: of torch, where the policies are.
        """
        self.device = device
        rows = simulated.rows[(simulated.data.user_split == 1) & (simulated.rows >= 0)]
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:most])
        self.begun = Episodes(simulated.users, simulated.view, rows, np.random.default_rng(seed))

    def of(self, scorer: Scorer) -> float:
        """The mean return of a policy."""
        return float(roll_out(of_policy(scorer, self.device), self.begun.copy()).values.mean())
