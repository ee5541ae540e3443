"""SASRec, a trained baseline: the ranking learner with self-attention and the learnt terms alone (Kang & McAuley 2018)."""

from typing import Literal

from pydantic import Field

from models.learners.entry import LearnerEntry
from models.learners.ranking import Ranking
from models.learners.ranking_config import LearntTermsConfig, RankingConfig
from models.states import StateName


class AttentionTermsConfig(LearntTermsConfig):
    """The learnt terms on self-attention."""

    state: StateName = Field("attention", description="State encoder: frame, gru or attention.")


class SasRecConfig(RankingConfig):
    """SASRec in the ranking trainer: no fitted terms, no content, no critics."""

    name: Literal["sasrec"] = "sasrec"  # type: ignore[assignment]
    policy: AttentionTermsConfig = Field(AttentionTermsConfig(), description="State and width.")


ENTRY = LearnerEntry(
    SasRecConfig,
    Ranking,
    summary="Self-attention over the sequence of items, trained by cross-entropy on the next one; a trained baseline.",
    paper="Kang & McAuley 2018, arXiv:1808.09781",
    baseline=True,
)
