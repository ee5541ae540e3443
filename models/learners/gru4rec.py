"""GRU4Rec, a trained baseline: the ranking learner with a recurrent state and the learnt terms alone (Hidasi et al. 2016)."""

from typing import Literal

from pydantic import Field

from models.learners.entry import LearnerEntry
from models.learners.ranking import Ranking
from models.learners.ranking_config import LearntTermsConfig, RankingConfig


class Gru4RecConfig(RankingConfig):
    """GRU4Rec in the ranking trainer: no fitted terms, no content, no critics."""

    name: Literal["gru4rec"] = "gru4rec"  # type: ignore[assignment]
    policy: LearntTermsConfig = Field(LearntTermsConfig(), description="State and width.")


ENTRY = LearnerEntry(
    Gru4RecConfig,
    Ranking,
    summary="A recurrent network over the sequence of items, trained by cross-entropy on the next one; a trained baseline.",
    paper="Hidasi et al. 2016, arXiv:1511.06939",
    baseline=True,
)
