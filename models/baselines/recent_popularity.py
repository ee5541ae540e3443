"""Recent popularity: popularity over the latest training events."""

from pydantic import Field

from models.baselines.entry import BaselineEntry
from models.baselines.popularity import PopularityConfig, fit_popularity


class RecentPopularityConfig(PopularityConfig):
    """The training events that are counted.

    The share is not tuned: validation steps lie before the time cut, and so cannot tell which share is best after it.
    """

    share: float = Field(0.1, gt=0, le=1, description="Fraction of the training events counted, the latest.")


ENTRY = BaselineEntry(
    "recent popularity",
    RecentPopularityConfig,
    fit_popularity,
    summary="Counts each item's events among the latest tenth of all training events; meant for the split by time.",
)
