"""How simulated users rate what they watch."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from models.environments.world import Doubles, Floats

POINTS = 2001  # between which the mean rating is interpolated


class Ratings(NamedTuple):
    """A rating is middle + slope * liking + leniency + N(0, noise), rounded to lowest, lowest + step … highest."""

    lowest: float = 0.5
    highest: float = 5.0
    step: float = 0.5
    middle: float = 3.4
    slope: float = 0.75
    noise: float = 0.5

    def drawn(self, liking: Doubles, leniency: Doubles | Floats, rng: np.random.Generator) -> Doubles:
        """Ratings of items of these likings by users of this leniency, (B,) each."""
        exact = self.middle + self.slope * liking + leniency + rng.normal(0, self.noise, len(liking))
        steps = np.round((exact - self.lowest) / self.step)
        return np.clip(self.lowest + steps * self.step, self.lowest, self.highest)

    def mean(self, liking: Doubles, leniency: Doubles | Floats) -> Doubles:
        """The mean rating, of the common shape of both."""
        return np.interp(
            self.middle + self.slope * liking + leniency, *_means(self.lowest, self.highest, self.step, self.noise)
        )


@cache
def _means(lowest: float, highest: float, step: float, noise: float) -> tuple[Doubles, Doubles]:
    """Values before noise and rounding, and the mean rating of each: lowest + step Σ_k P(rounded ≥ lowest + k step)."""
    reach = 6 * noise + step
    exact = np.linspace(lowest - reach, highest + reach, POINTS)
    bounds = [lowest + step * (k + 0.5) for k in range(round((highest - lowest) / step))]
    shares = [[math.erfc((bound - value) / (noise * math.sqrt(2))) / 2 for bound in bounds] for value in exact]
    return exact, lowest + step * np.sum(shares, axis=1)
