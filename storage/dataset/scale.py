"""The scale of a source's ratings: a grid that fits one byte, and the reward each grid point stands for."""

from typing import Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_CODES = 255
WORST_REWARD, BEST_REWARD = -4.0, 5.0


class RatingScale(BaseModel):
    """Ratings lowest, lowest + step … highest; MovieLens' half stars unless set.

    The reward is affine, from -4 at `lowest` to 5 at `highest`: 2 * (rating - 2.5) for half stars.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lowest: float = Field(0.5, ge=-1e9, le=1e9, description="The worst rating there is.")
    highest: float = Field(5.0, ge=-1e9, le=1e9, description="The best rating there is.")
    step: float = Field(0.5, ge=1e-6, le=1e9, description="The distance of neighbouring ratings; others are refused.")

    @model_validator(mode="after")
    def _is_a_small_grid(self) -> Self:
        codes = (self.highest - self.lowest) / self.step
        if round(codes) < 1 or abs(codes - round(codes)) > 1e-6 or round(codes) + 1 > MAX_CODES:
            raise ValueError(
                f"rating scale: expected lowest, lowest + step … highest in 2 to {MAX_CODES} ratings; found "
                f"{self.lowest} … {self.highest} by {self.step}. Give a wider step."
            )
        grid = self.lowest + self.step * np.arange(round(codes) + 1)
        if np.abs(grid.astype(np.float32) - grid).max() > 1e-3 * self.step:
            raise ValueError(
                f"rating scale: expected steps that float32 can tell apart; found {self.lowest} … {self.highest} by "
                f"{self.step}. Declare a scale nearer to zero."
            )
        return self

    @property
    def codes(self) -> int:
        """How many ratings there are; their codes are 1 … codes."""
        return round((self.highest - self.lowest) / self.step) + 1

    @property
    def rating_min(self) -> float:
        """The rating that code 0 would be: rating = rating_min + step * code."""
        return self.lowest - self.step

    @property
    def reward_scale(self) -> float:
        """Reward = reward_scale * rating + reward_offset."""
        return (BEST_REWARD - WORST_REWARD) / (self.highest - self.lowest)

    @property
    def reward_offset(self) -> float:
        """See `reward_scale`."""
        return WORST_REWARD - self.reward_scale * self.lowest

    def __str__(self) -> str:
        return f"{self.lowest:g}, {self.lowest + self.step:g} … {self.highest:g}"
