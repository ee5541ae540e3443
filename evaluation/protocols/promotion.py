"""The comparison that decides whether a new policy becomes the champion."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from evaluation.protocols.cases import validation_cases
from evaluation.protocols.metrics import accuracy_per_user, label
from evaluation.protocols.ranking import rank_cases
from evaluation.protocols.statistics import bootstrap_means
from evaluation.record import Record
from models.histories import Scorer
from storage.dataset.reader import TransitionDataset

DEPTH = 10
MOST_STEPS = 50_000  # next-item steps that are ranked
DRAWS = 10_000
SEED = 0


class PromotionParams(BaseModel):
    """How the best new policy is compared with the champion."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Literal["ndcg@10", "recall@10", "ndcg@10_liked"] = Field(
        "ndcg@10", description="What is compared, per validation user; _liked counts items rated 4 or more only."
    )
    confidence: float = Field(
        0.95,
        ge=0.5,
        le=0.999,
        description="Confidence of the two-sided interval of the mean difference; its lower end must be above 0.",
    )


class ChampionComparison(Record):
    """The best new policy and the champion, compared on the same validation users of the new dataset."""

    metric: str
    confidence: float
    users: int = Field(description="Validation users who have a value of the metric.")
    challenger: float = Field(description="Mean over these users.")
    champion: float = Field(description="Mean over the same users.")
    difference: float = Field(description="Challenger minus champion.")
    low: float | None = Field(description="Lower end of the interval of the paired bootstrap over users.")
    high: float | None = Field(description="Upper end of it.")
    better: bool = Field(description="Whether the challenger is better: the interval lies above 0.")

    def sentence(self) -> str:
        """The numbers and what follows from them."""
        numbers = (
            f"The best new policy has {label(self.metric)} {self.challenger:.4f} against the champion's {self.champion:.4f} "
            f"on {self.users:,} validation users: difference {self.difference:+.4f}"
        )
        if self.low is None or self.high is None:
            return f"{numbers}. These are too few users for an interval, so the champion stays."
        interval = f"{numbers} ({100 * self.confidence:g} % interval {self.low:+.4f} to {self.high:+.4f})"
        if self.better:
            return f"{interval}. The interval lies above 0, so the new policy is better."
        return f"{interval}. The interval does not lie above 0, so the champion stays."


def compare_on_validation_users(
    dataset: TransitionDataset, challenger: Scorer, champion: Scorer, params: PromotionParams
) -> ChampionComparison:
    """Rank the same steps of validation users with both policies and compare them.

    Args:
        dataset: whose validation users are ranked for; the champion may be trained on another one.
        challenger: the best new policy.
        champion: the published one.
        params: metric and confidence.

    Raises:
        DatasetError: there are no validation users.
    """
    cases = validation_cases(dataset, MOST_STEPS, SEED)
    own, other = (
        accuracy_per_user(rank_cases(dataset, scorer, cases, DEPTH), (DEPTH,)).column(params.metric)
        for scorer in (challenger, champion)
    )
    return compare_per_user(own, other, params)


def compare_per_user(
    challenger: NDArray[np.float64], champion: NDArray[np.float64], params: PromotionParams
) -> ChampionComparison:
    """Compare two policies by their values per user, with a percentile interval of the paired bootstrap (Efron 1979).

    With n users, all of them better by chance has probability 2^-n. If that is more than the interval's tail, no
    difference could be shown, and there is no interval.

    Args:
        challenger: (U,) one value per user; NaN if a user has none.
        champion: (U,) of the same users.
        params: metric and confidence.
    """
    known = ~np.isnan(challenger) & ~np.isnan(champion)
    own, other = challenger[known], champion[known]
    users, tail = len(own), (1 - params.confidence) / 2
    low = high = None
    if 2.0**-users <= tail:
        means = bootstrap_means((own - other)[:, None], SEED, DRAWS)[:, 0]
        low, high = (float(end) for end in np.quantile(means, (tail, 1 - tail)))
    return ChampionComparison(
        metric=params.metric,
        confidence=params.confidence,
        users=users,
        challenger=float(own.sum() / max(users, 1)),
        champion=float(other.sum() / max(users, 1)),
        difference=float((own - other).sum() / max(users, 1)),
        low=low,
        high=high,
        better=low is not None and low > 0,
    )
