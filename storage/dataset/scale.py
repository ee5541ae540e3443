"""The scale of a source's ratings, a grid that fits one byte, and the map from ratings to rewards."""

import math
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_CODES = 255
WORST_REWARD, BEST_REWARD = -4.0, 5.0  # of the default reward map
LIKED = 7 / 9  # how far up the scale a liked rating is: 4 on 0.5 … 5 stars


class RatingScale(BaseModel):
    """Ratings lowest, lowest + step … highest; by default MovieLens' half stars."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lowest: float = Field(0.5, ge=-1e9, le=1e9, description="The lowest rating.")
    highest: float = Field(5.0, ge=-1e9, le=1e9, description="The highest rating.")
    step: float = Field(0.5, ge=1e-6, le=1e9, description="Distance between neighbouring ratings; others are refused.")

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
        """The number of ratings; their codes are 1 … codes."""
        return round((self.highest - self.lowest) / self.step) + 1

    @property
    def rating_min(self) -> float:
        """The rating of code 0: rating = rating_min + step * code."""
        return self.lowest - self.step

    @property
    def liked_code(self) -> int:
        """The least code of a liked rating."""
        return 1 + math.ceil(LIKED * (self.codes - 1) - 1e-9)

    def ratings(self) -> NDArray[np.float64]:
        """The rating of each code that a byte can hold: (256,)."""
        return self.rating_min + self.step * np.arange(256, dtype=np.float64)

    def __str__(self) -> str:
        return f"{self.lowest:g}, {self.lowest + self.step:g} … {self.highest:g}"


class RewardMap(BaseModel):
    """The reward of a rating: reward = scale * rating + offset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: float = Field(gt=0, le=1e9, allow_inf_nan=False, description="Factor of the rating.")
    offset: float = Field(ge=-1e9, le=1e9, allow_inf_nan=False, description="Added to the scaled rating.")

    @classmethod
    def default(cls, ratings: RatingScale) -> Self:
        """The map from -4 at the lowest rating to 5 at the highest: 2 * (rating - 2.5) for half stars."""
        scale = (BEST_REWARD - WORST_REWARD) / (ratings.highest - ratings.lowest)
        return cls(scale=scale, offset=WORST_REWARD - scale * ratings.lowest)

    def bounds(self, ratings: RatingScale) -> tuple[float, float]:
        """The least and greatest reward of a scale."""
        return self.scale * ratings.lowest + self.offset, self.scale * ratings.highest + self.offset


class RatingRewards(BaseModel):
    """What a policy needs to read ratings: their scale, and the reward of a rating; `ratings.json` beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["marquee-ratings/1"] = "marquee-ratings/1"
    scale: RatingScale = Field(description="The possible ratings.")
    reward: RewardMap = Field(description="The reward of a rating.")
