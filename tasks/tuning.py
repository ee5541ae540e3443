"""What of a trained policy is chosen on validation users: weights of terms, and how many items the critics re-rank."""

from collections.abc import Callable
from typing import Any

from evaluation.protocols.validation import CRITERION
from models.learners.config import LearnerConfig
from models.policy import Policy, Publishable, tune_candidates
from models.ranking_policy import RankingPolicy, tune_weights

Metrics = Callable[[Publishable], dict[str, float]]


def tuned(policy: Publishable, config: LearnerConfig, metrics: Metrics, selected_by: str) -> dict[str, Any]:
    """Tune a policy, if there is something to tune; returns the manifest's facts about it.

    The criterion is the one that selected the checkpoint if it is a metric of rankings, else NDCG@10: no weight changes a loss.

    Args:
        policy: changed in place.
        config: of its learner.
        metrics: a policy's metrics on validation users.
        selected_by: the metric that selected the checkpoint.
    """
    facts: dict[str, Any] = {}
    grid = getattr(config, "candidate_grid", ())
    if not grid and not isinstance(policy, RankingPolicy):
        return facts
    criterion = selected_by if selected_by in metrics(policy) else CRITERION
    if isinstance(policy, RankingPolicy):
        facts["shares"] = tune_weights(policy, lambda tried: metrics(tried)[criterion])
    elif isinstance(policy, Policy):
        counts = tuple(dict.fromkeys((policy.candidates, *grid)))
        facts["critic_candidates"] = tune_candidates(policy, counts, lambda tried: metrics(tried)[criterion])
    return facts | {"validation_ndcg@10": round(metrics(policy)["ndcg@10"], 6)}
