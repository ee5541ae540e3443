"""Ablation of the ranking learner: what each of its parts adds.

    python benchmarks/ablation.py TRANSITIONS.h5 [seeds, default 3] [variant, …]

Every variant is trained by `models.trainer`, selected and tuned on the validation users, and evaluated once on the test
users, whom nothing was fit or tuned on. Prints the means over seeds of NDCG@10, of NDCG@10 for liked targets (4 stars or
more), of coverage@10 and of the rating of recommended items that the user rated later; and the difference in NDCG@10, paired
by user, of a part to the default and of a variant to the default's learnt terms. ± is half a 95 % bootstrap interval over
users, a mean over seeds.
"""

import sys
import time
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation.protocols.beyond_accuracy import coverage, later_ratings
from evaluation.protocols.cases import next_item_cases, validation_cases
from evaluation.protocols.metrics import accuracy_per_user
from evaluation.protocols.per_user import PerUser
from evaluation.protocols.ranking import rank_cases
from evaluation.protocols.statistics import bootstrap_intervals
from evaluation.protocols.validation import CRITERION, validation_metrics
from evaluation.term_weights import tune_weights
from flows.parameters import load_profile
from models.histories import Scorer
from models.learners.config import LearnerConfig
from models.learners.ranking_config import RankingConfig
from models.ranking_policy import RankingPolicy
from models.sampling import UniformSampler
from models.term_weights import LEARNT_TERMS, TERMS, Term
from models.trainer import Trainer
from storage.dataset.reader import TransitionDataset
from tasks.learning import make_learning
from tasks.train import TrainParams


def ranking(**policy: Any) -> RankingConfig:
    """The default with a changed policy."""
    return RankingConfig.model_validate({"policy": policy})


class Part(NamedTuple):
    """What a trained default policy ranks by: terms that may have a weight, and the critics' weight; None: it is tuned."""

    terms: tuple[Term, ...] = TERMS
    critic: float | None = None


def without(*names: Term) -> tuple[Term, ...]:
    """All terms but some."""
    return tuple(name for name in TERMS if name not in names)


PARTS: dict[str, Part] = {
    "default": Part(),
    "without the critic": Part(critic=0.0),
    "without the learnt action": Part(without("actor")),
    "without the fitted terms": Part(LEARNT_TERMS),
    "without the fitted terms and the critic": Part(LEARNT_TERMS, critic=0.0),
    "without transitions": Part(without("transitions")),
    "without associations": Part(without("associations")),
    "without content": Part(without("content", "taste")),
    "re-ranked by the critic alone": Part(critic=100.0),
}
HEAD = "| method | NDCG@10 | sd over seeds | NDCG@10 liked | coverage@10 | later rating | s |\n|---|---|---|---|---|---|---|"
ALONE = Part(LEARNT_TERMS)
# Variants trained otherwise, compared without the fitted terms, which would hide the difference: name → learner's config
VARIANTS: dict[str, RankingConfig] = {
    "without own vectors": ranking(own_vectors=False),
    "item vectors initialised at random": ranking(embeddings=False),
    "with TD3's term, λ 0.1": RankingConfig(value_weight=0.1),
    "with weighted rewards, 0.5": RankingConfig(reward_weight=0.5),
    "state: attention": ranking(state="attention"),
    "state: frame": ranking(state="frame"),
    "state: frame of 30 events": ranking(state="frame", frame=30),
    "without dropout": ranking(dropout=0.0),
    "without decay of own vectors": RankingConfig(item_decay=0.0),
}


class Evaluator:
    """The validation cases of one seed."""

    def __init__(self, data: TransitionDataset, seed: int) -> None:
        self.data, self.seed = data, seed
        self.cases = validation_cases(data, 2000, seed)

    def metrics(self, policy: Any) -> dict[str, float]:
        """Metrics of a policy on the validation users."""
        return validation_metrics(self.data, policy, self.cases)

    def tuned(self, policy: RankingPolicy, part: Part) -> RankingPolicy:
        """A copy with tuned weights of a part."""
        copied = copy(policy)
        copied.weights = dict(policy.weights)
        if part.critic is not None:
            copied.params = policy.params.model_copy(update={"critic_candidates": 0})
        (found,) = tune_weights(copied, self.data, CRITERION, 2000, self.seed, ("next",), part.terms)
        copied.params = policy.params
        if part.critic is not None:
            copied.weights["next"] = copied.weights["next"].model_copy(update={"critic": part.critic})
        print(f"  {part}: {found}", file=sys.stderr, flush=True)
        return copied


def trained(config: LearnerConfig, evaluator: Evaluator, params: TrainParams | None = None) -> Scorer:
    """The policy that is best on validation users, with untuned weights; trained as in ml-latest-small, or by `params`."""
    params = params or load_profile("ml-latest-small").train
    trainer = params.trainer_of(config.name)
    learning = make_learning(config, evaluator.data, trainer.batch_size, "cosine", "cpu", evaluator.seed)
    sampler = UniformSampler(learning.starts, learning.batch_size, evaluator.seed, learning.lengths)

    def validate() -> dict[str, float]:
        return evaluator.metrics(learning.policy)

    run = Trainer(learning.learner, sampler, learning.gather_in_turn, validate, trainer)
    run.run(lambda *_: None, lambda *_: None)
    learning.learner.acting.load_state_dict(run.best_policy)
    print(f"  {config.name}: update {run.best_step} of {run.step}", file=sys.stderr, flush=True)
    return learning.policy


def trained_by(
    evaluators: list[Evaluator], config: LearnerConfig, params: TrainParams | None = None
) -> tuple[list[Scorer], float]:
    """One policy per seed, and the seconds per policy."""
    began = time.perf_counter()
    policies = [trained(config, evaluator, params) for evaluator in evaluators]
    return policies, (time.perf_counter() - began) / len(evaluators)


def tuned_by(evaluators: list[Evaluator], policies: list[Scorer], part: Part) -> list[Scorer]:
    """Every seed's policy with tuned weights of a part."""
    return [
        evaluator.tuned(policy, part)
        for evaluator, policy in zip(evaluators, policies, strict=True)
        if isinstance(policy, RankingPolicy)
    ]


class EvaluatedMethod(NamedTuple):
    """Metrics of a method on test users, one policy per seed."""

    per_user: list[PerUser]
    ratings: list[float]
    covered: list[float]


def evaluated(data: TransitionDataset, scorers: list[Scorer]) -> EvaluatedMethod:
    """Rank the test users' next items by each policy."""
    cases = next_item_cases(data, "test", 20)
    found = EvaluatedMethod([], [], [])
    for scorer in scorers:
        ranked = rank_cases(data, scorer, cases, 10)
        found.per_user.append(accuracy_per_user(ranked, (10,)))
        found.ratings.append(float(later_ratings(data, cases, ranked.best)[1].mean()))
        found.covered.append(coverage(ranked.best, data.items))
    return found


def half_interval(values: list[NDArray[np.float64]]) -> float:
    """Half the 95 % interval of a mean over users, averaged over seeds; values (U,) per seed."""
    return float(np.mean([np.diff(bootstrap_intervals(one[:, None], seed=0)) / 2 for one in values]))


def row(found: EvaluatedMethod, seconds: float) -> str:
    """The numbers of one line."""
    values = {name: [one.column(name) for one in found.per_user] for name in ("ndcg@10", "ndcg@10_liked")}
    seeds = {name: [float(np.nanmean(one)) for one in columns] for name, columns in values.items()}
    parts = [f"{np.mean(seeds[name]):.4f} ± {half_interval(values[name]):.4f}" for name in values]
    spread = np.std(seeds["ndcg@10"], ddof=1) if len(seeds["ndcg@10"]) > 1 else 0.0
    return (
        f"| {parts[0]} | {spread:.4f} | {parts[1]} | {np.mean(found.covered):.3f} | {np.mean(found.ratings):.3f} "
        f"| {seconds:.0f} |"
    )


def difference(found: EvaluatedMethod, reference: EvaluatedMethod) -> str:
    """Difference in NDCG@10 to the reference, paired by user and seed."""
    values = [
        mine.column("ndcg@10") - other.column("ndcg@10")
        for mine, other in zip(found.per_user, reference.per_user, strict=True)
    ]
    return f" {np.mean([np.nanmean(one) for one in values]):+.4f} ± {half_interval(values):.4f} |"


def lines(evaluators: list[Evaluator], wanted: list[str]) -> Iterator[str]:
    """Yield one line per method: parts compared with the default, variants with its learnt terms."""
    data = evaluators[0].data
    made, spent = trained_by(evaluators, RankingConfig())
    reference = None
    for name, part in PARTS.items() if not wanted or "default" in wanted else ():
        found = evaluated(data, tuned_by(evaluators, made, part))
        reference = reference or found
        yield f"| {name} {row(found, spent)}{difference(found, reference)}"
    reference = None
    for name, config in VARIANTS.items():
        if not wanted or name in wanted:
            reference = reference or evaluated(data, tuned_by(evaluators, made, ALONE))
            policies, spent = trained_by(evaluators, config)
            found = evaluated(data, tuned_by(evaluators, policies, ALONE))
            yield f"| {name}, without the fitted terms {row(found, spent)}{difference(found, reference)}"


def evaluators_given(seeds: int) -> tuple[list[Evaluator], list[str]]:
    """The command line's arguments: one evaluator per seed, by default `seeds` of them, and the words after."""
    torch.set_num_threads(1)
    data = TransitionDataset.open(Path(sys.argv[1]))
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else seeds
    return [Evaluator(data, seed) for seed in range(seeds)], sys.argv[3:]


def main() -> None:
    """Measure and print a table in Markdown."""
    if len(sys.argv) < 2:
        print(__doc__)
        return
    evaluators, wanted = evaluators_given(seeds=3)
    print(" NDCG@10 more |\n".join(HEAD.split("\n")) + "---|")
    for line in lines(evaluators, wanted):
        print(line, flush=True)


if __name__ == "__main__":
    main()
