"""What of a trained policy is chosen on validation users: weights of terms, and how many items the critics re-rank."""

from collections.abc import Callable
from typing import Any

from evaluation.protocols.validation import CRITERION
from evaluation.term_weights import tune_weights
from models.learners.config import LearnerConfig
from models.policy import Policy, Publishable, tune_candidates
from models.ranking_policy import RankingPolicy
from storage.dataset.reader import TransitionDataset

Metrics = Callable[[Publishable], dict[str, float]]


def tuned(
    policy: Publishable,
    config: LearnerConfig,
    metrics: Metrics,
    selected_by: str,
    data: TransitionDataset,
    steps: int,
    seed: int,
) -> dict[str, Any]:
    """Tune a policy, if there is something to tune; returns the manifest's facts about it.

    The criterion is the one that selected the checkpoint if it is a metric of rankings, else NDCG@10: no weight changes a loss.

    Args:
        policy: changed in place.
        config: of its learner.
        metrics: a policy's metrics on validation users.
        selected_by: the metric that selected the checkpoint.
        data: of the validation users.
        steps: at most so many cases for each question that a ranking policy answers.
        seed: of the draws of these cases.
    """
    facts: dict[str, Any] = {}
    if isinstance(policy, RankingPolicy):
        criterion = selected_by if "@" in selected_by else CRITERION
        found = tune_weights(policy, data, criterion, steps, seed)
        facts["questions"] = [one.model_dump(mode="json") for one in found]
        of_chosen = metrics(policy)
    elif isinstance(policy, Policy) and (grid := getattr(config, "candidate_grid", ())):
        counts = tuple(dict.fromkeys((policy.candidates, *grid)))
        by_count: dict[int, dict[str, float]] = {}  # each computed once: a fitted return takes long

        def metric(tried: Policy) -> float:
            by_count[tried.candidates] = of_tried = metrics(tried)
            return of_tried[selected_by if selected_by in of_tried else CRITERION]

        facts["critic_candidates"] = tune_candidates(policy, counts, metric)
        of_chosen = by_count[policy.candidates]
    else:
        return facts
    return facts | {"validation_ndcg@10": round(of_chosen["ndcg@10"], 6)}
