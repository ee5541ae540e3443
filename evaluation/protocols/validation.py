"""The metrics of validation users, by one of which hyper-parameters and checkpoints are selected."""

import math

from evaluation.protocols.beyond_accuracy import coverage
from evaluation.protocols.cases import Cases
from evaluation.protocols.metrics import accuracy_per_user
from evaluation.protocols.per_user import means
from evaluation.protocols.ranking import rank_cases
from models.histories import Scorer
from storage.dataset.reader import TransitionDataset

CRITERION = "ndcg@10"
DEPTH = 10


def validation_metrics(dataset: TransitionDataset, scorer: Scorer, cases: Cases) -> dict[str, float]:
    """Accuracy at 10 as a mean over users, and coverage@10; a metric without a value is 0."""
    ranked = rank_cases(dataset, scorer, cases, DEPTH)
    found = means(accuracy_per_user(ranked, (DEPTH,))) | {f"coverage@{DEPTH}": coverage(ranked.best, dataset.items)}
    return {name: 0.0 if math.isnan(value) else value for name, value in found.items()}
