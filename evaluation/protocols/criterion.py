"""What hyper-parameters, checkpoints and shares are chosen by."""

import math

from evaluation.protocols.beyond_accuracy import coverage
from evaluation.protocols.cases import Cases
from evaluation.protocols.metrics import accuracy_per_user, means
from evaluation.protocols.ranking import rank_cases
from models.histories import Scorer
from storage.dataset.reader import TransitionDataset

CRITERION = "ndcg@10"
DEPTH = 10


def validation_metrics(dataset: TransitionDataset, scorer: Scorer, cases: Cases) -> dict[str, float]:
    """Accuracy at 10, a mean over users, and the share of items in anybody's best ten; 0 where nobody has a value."""
    ranked = rank_cases(dataset, scorer, cases, DEPTH)
    found = means(accuracy_per_user(ranked, (DEPTH,))) | {f"coverage@{DEPTH}": coverage(ranked.best, dataset.items)}
    return {name: 0.0 if math.isnan(value) else value for name, value in found.items()}
