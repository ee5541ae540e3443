"""Claim: on the sample, the return in an environment fitted to the log selects checkpoints better than NDCG@10 does.

    marquee build-dataset --profile sample
    python benchmarks/selection.py

Trains IQL, whose critics re-rank 200 items, as the profile `sample` does, and td3_bc. Prints for each validation NDCG@10, the fitted
return (the selection criterion) and the true return, which only a simulator knows, all on validation users; then the rank correlation
(Spearman) of both criteria with the true return, and the true return of the checkpoint that each criterion selects. The last table
does the same for the number of items that IQL's critics re-rank.
"""

import numpy as np
import torch
from scipy.stats import spearmanr

from evaluation.fitted_dataset import FittedParams
from evaluation.fitted_return import USERS, FittedReturn
from evaluation.protocols.cases import validation_cases
from evaluation.protocols.validation import validation_metrics
from evaluation.simulated_dataset import SimulatedDataset
from flows.parameters import load_profile
from models.environments.controls import of_policy
from models.environments.returns import returns_of
from models.histories import Scorer
from models.policy import Policy
from models.sampling import UniformSampler
from storage.dataset.reader import TransitionDataset
from tasks.caching import artifact_store
from tasks.evaluate import about_dataset
from tasks.learning import make_learning
from tasks.sample import simulated_dataset

LEARNERS, EVERY, CANDIDATES = ("iql", "td3_bc"), 250, (0, 10, 50, 200)
CRITERIA = ("NDCG@10", "fitted return")


class Judge:
    """Both criteria and the true return of a policy on validation users."""

    def __init__(self, data: TransitionDataset, simulated: SimulatedDataset) -> None:
        self.data, self.simulated = data, simulated
        self.cases = validation_cases(data, 2000, 0)
        self.fitted = FittedReturn(data, FittedParams(), 0)
        rows = simulated.rows[data.user_split == 1]
        self.rows = np.sort(np.random.default_rng(0).permutation(rows)[:USERS])

    def __call__(self, policy: Scorer) -> list[float]:
        """NDCG@10, the fitted return, the true return."""
        world = self.simulated
        true = [
            returns_of(of_policy(policy), world.users, world.view, self.rows, seed).values.mean() for seed in (0, 1)
        ]
        ndcg = validation_metrics(self.data, policy, self.cases)["ndcg@10"]
        return [ndcg, self.fitted.of(policy), float(np.mean(true))]


def print_table(name: str, places: list[int], rows: list[list[float]]) -> None:
    """A row per checkpoint or number, and what each criterion selects."""
    print(f"\n| {name} | NDCG@10 | fitted return | true return |\n|---|---|---|---|")
    for place, row in zip(places, rows, strict=True):
        print(f"| {place} | {row[0]:.4f} | {row[1]:.1f} | {row[2]:.1f} |")
    found = np.array(rows)
    for column, criterion in enumerate(CRITERIA):
        best = int(found[:, column].argmax())
        correlation = spearmanr(found[:, column], found[:, 2]).statistic
        print(
            f"by {criterion}: {places[best]}, true return {found[best, 2]:.1f} of at most {found[:, 2].max():.1f}; "
            f"rank correlation with the true return {correlation:+.2f}"
        )


def main() -> None:
    """Train, measure and print."""
    torch.set_num_threads(1)
    store, params = artifact_store(), load_profile("sample").train
    dataset = store.select("dataset", "latest")
    data = TransitionDataset.open(store.open(dataset) / "transitions.h5")
    simulated = simulated_dataset(data, about_dataset(dataset)["sample"])
    if simulated is None:
        raise SystemExit("expected a dataset of the sample; found another. Run marquee build-dataset --profile sample.")
    judge = Judge(data, simulated)
    for name in LEARNERS:
        trainer = params.trainer_of(name)
        learning = make_learning(
            params.config_of(name), data, trainer.batch_size, params.similarity, "cpu", params.seed
        )
        sampler = UniformSampler(data.starts("train"), learning.batch_size, params.seed)
        places, rows = [0], [judge(learning.policy)]
        for step in range(1, trainer.steps + 1):
            learning.learner.update(learning.gather_in_turn(sampler.next()))
            if step % EVERY == 0:
                places.append(step)
                rows.append(judge(learning.policy))
        print_table(f"{name}: update", places, rows)
        if name == "iql" and isinstance(learning.policy, Policy):
            found = []
            for candidates in CANDIDATES:
                learning.policy.candidates = candidates
                found.append(judge(learning.policy))
            print_table("iql: re-ranked items", list(CANDIDATES), found)


if __name__ == "__main__":
    main()
