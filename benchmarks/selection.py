"""Claim: on the sample, the return with users fitted to the log orders policies as the true return does; NDCG@10 does not.

    marquee build-dataset --profile sample
    python benchmarks/selection.py

Trains IQL as the profile `sample` does. At two checkpoints, with four numbers of items that its critics re-rank, it prints NDCG@10, the
fitted return (the selection criterion) and the true return, which only a simulator knows, all of validation users; then the rank
correlation (Spearman) of both criteria with the true return, and the true return of what each criterion selects.
"""

import numpy as np
import torch
from scipy.stats import spearmanr

from evaluation.fitted_dataset import FittedDataset
from evaluation.protocols.cases import validation_cases
from evaluation.protocols.validation import validation_metrics
from evaluation.simulated_dataset import SimulatedDataset
from evaluation.validation_return import CRITERION_USERS, ValidationReturn
from flows.parameters import load_profile
from models.environments.controls import of_policy
from models.environments.returns import returns_of
from models.policy import Policy
from models.sampling import UniformSampler
from storage.dataset.reader import TransitionDataset
from tasks.caching import artifact_store
from tasks.evaluate import about_dataset
from tasks.learning import make_learning
from tasks.sample import simulated_dataset
from tasks.train import TrainParams

CHECKPOINTS, CANDIDATES = (0, 400), (0, 10, 50, 200)
CRITERIA = ("NDCG@10", "fitted return")


class Judge:
    """Both criteria and the true return of a policy on validation users."""

    def __init__(self, data: TransitionDataset, simulated: SimulatedDataset, params: TrainParams) -> None:
        self.data, self.simulated = data, simulated
        self.cases = validation_cases(data, 2000, 0)
        self.fitted = ValidationReturn(FittedDataset.for_training(data, params.fitted), CRITERION_USERS, 0)
        rows = simulated.rows[data.user_split == 1]
        self.rows = np.sort(np.random.default_rng(0).permutation(rows)[:CRITERION_USERS])

    def __call__(self, policy: Policy) -> list[float]:
        """NDCG@10, the fitted return, the true return."""
        true = returns_of(of_policy(policy), self.simulated.users, self.simulated.view, self.rows, seed=1)
        ndcg = validation_metrics(self.data, policy, self.cases)["ndcg@10"]
        return [ndcg, self.fitted.of(policy), float(true.values.mean())]


def main() -> None:
    """Train, measure and print."""
    torch.set_num_threads(1)
    store, params = artifact_store(), load_profile("sample").train
    dataset = store.select("dataset", "latest")
    data = TransitionDataset.open(store.open(dataset) / "transitions.h5")
    about = about_dataset(dataset)
    simulated = simulated_dataset(data, about["sample"]) if "sample" in about else None
    if simulated is None:
        raise SystemExit("expected a dataset of the sample; found another. Run marquee build-dataset --profile sample.")
    judge, trainer = Judge(data, simulated, params), params.trainer_of("iql")
    learning = make_learning(params.config_of("iql"), data, trainer.batch_size, params.similarity, "cpu", params.seed)
    sampler, policy = UniformSampler(data.starts("train"), learning.batch_size, params.seed), learning.policy
    assert isinstance(policy, Policy)  # noqa: S101
    found = []
    print("| update | re-ranked | NDCG@10 | fitted return | true return |\n|---|---|---|---|---|")
    for step in range(CHECKPOINTS[-1] + 1):
        if step in CHECKPOINTS:
            for candidates in CANDIDATES:
                policy.candidates = candidates
                found.append(judge(policy))
                ndcg, fitted, true = found[-1]
                print(f"| {step} | {candidates} | {ndcg:.4f} | {fitted:.1f} | {true:.1f} |", flush=True)
        learning.learner.update(learning.gather_in_turn(sampler.next()))
    table = np.array(found)
    for column, criterion in enumerate(CRITERIA):
        correlation = spearmanr(table[:, column], table[:, 2]).statistic
        best = table[table[:, column].argmax(), 2]
        print(
            f"{criterion}: rank correlation with the true return {correlation:+.2f}; it selects a true return of {best:.1f}, "
            f"of at most {table[:, 2].max():.1f}"
        )


if __name__ == "__main__":
    main()
