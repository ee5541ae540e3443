"""Claim: on MovieLens 1M, leave-one-out with full ranking, SASRec reaches NDCG@10 of .17 and `ranking` of .186.

    MARQUEE_REAL_DATA=FOLDER python benchmarks/leave_one_out.py [baselines | learner …; default baselines sasrec ranking]

FOLDER has ml-1m-ordered/, which is read and trained on by examples/ml-1m.yaml. The catalogue is the papers', the rated items alone;
their embeddings are random, so no method knows what an item is like. Prints every validation of a learner, then each method's
metrics on the last events of all users. Checkpoints are kept in .marquee/leave_one_out, from where an interrupted training continues.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
from shaped import conditions

from evaluation.baselines import BaselineParams, fit_baselines, tune_baselines
from evaluation.protocols.cases import next_item_cases, validation_cases
from evaluation.protocols.validation import validation_metrics
from evaluation.report.sections.methods.published import LEAVE_ONE_OUT
from evaluation.term_weights import tune_weights
from flows.parameters import Profile, load_profile
from models.early_warnings import Row
from models.histories import Scorer
from models.ranking_policy import RankingPolicy
from models.sampling import UniformSampler
from models.trainer import Trainer
from storage.checkpoints import Checkpoints
from storage.dataset.reader import TransitionDataset
from storage.dataset.sorting import sorted_histories
from storage.dataset.writer import write_transitions
from storage.sources.bad_rows import BadRows
from storage.sources.generic.items import read_generic_items
from storage.sources.generic.ratings import generic_events
from tasks.learning import make_learning

PROFILE = Path(__file__).parents[1] / "examples" / "ml-1m.yaml"
BASELINES = ("popularity", "markov", "item-knn", "ease", "als")


def dataset(profile: Profile, path: Path) -> TransitionDataset:
    """The leave-one-out dataset of the rated items, without embeddings."""
    source = profile.source.generic
    assert source is not None  # noqa: S101
    source = source.model_copy(update={"items": None})
    items, _ = read_generic_items(source, BadRows("reject"))
    ids = items["movie_id"].to_numpy()
    facts: dict[str, Any] = {}
    histories = list(sorted_histories(generic_events(source, ids, BadRows("reject"), facts), len(ids), facts))
    users = np.concatenate([block.user_id for block in histories])
    write_transitions(
        path,
        histories,
        user_ids=users,
        split=np.zeros(len(users), np.uint8),
        movie_ids=ids,
        embeddings=np.random.default_rng(0).normal(size=(len(ids), profile.features.dim)).astype(np.float32),
        scale=source.scale,
        frame=profile.export.frame,
        time_cut=max(int(block.timestamp.max()) for block in histories),
        mode=profile.export.splits.mode,
        provenance={},
    )
    return TransitionDataset.open(path)


def trained(name: str, profile: Profile, data: TransitionDataset) -> Scorer:
    """The policy that is best on validation, with tuned weights."""
    params = profile.train
    learning = make_learning(params.config_of(name), data, 1, "cosine", "cpu", params.seed)
    cases = validation_cases(data, params.validation_steps, params.seed)
    sampler = UniformSampler(learning.starts, learning.batch_size, params.seed, learning.lengths)
    began = time.process_time()

    def validate() -> dict[str, float]:
        return validation_metrics(data, learning.policy, cases)

    def show(step: int, rows: Sequence[Row]) -> None:
        found = {f"{split} {metric}": value for _, split, metric, value in rows}
        if (ndcg := found.get("validation ndcg@10")) is not None:
            loss = found.get("train actor_loss", float("nan"))
            print(
                f"{name}: update {step}, epoch {step * learning.batch_size / len(learning.starts):.1f}, loss {loss:.4f}, "
                f"validation NDCG@10 {ndcg:.4f}, {time.process_time() - began:,.0f} CPU s",
                flush=True,
            )

    run = Trainer(learning.learner, sampler, learning.gather_in_turn, validate, params.trainer_of(name))
    checkpoints = Checkpoints(Path(".marquee/leave_one_out") / name)
    if (found := checkpoints.load_latest()) is not None:
        run.load_state_dict(found[1])
    run.run(show, checkpoints.save)
    learning.learner.acting.load_state_dict(run.best_policy)
    print(f"{name}: best at update {run.best_step} of {run.step}", flush=True)
    if isinstance(learning.policy, RankingPolicy):
        (tuned,) = tune_weights(learning.policy, data, "ndcg@10", params.validation_steps, params.seed, ("next",))
        print(f"{name}: {tuned}", flush=True)
    return learning.policy


def methods(wanted: Sequence[str], profile: Profile, data: TransitionDataset) -> Iterator[tuple[str, Scorer]]:
    """The methods by name, one after another."""
    for name in wanted:
        if name != "baselines":
            yield name, trained(name, profile, data)
            continue
        params = BaselineParams(names=BASELINES)
        for chosen, tried in tune_baselines(data, params).items():
            yield from fit_baselines(data, {chosen: tried[0]["config"]}, params.max_items).items()


def main() -> None:
    """Measure and print."""
    profile = load_profile(str(PROFILE))
    with tempfile.TemporaryDirectory() as folder:
        with chdir(os.environ["MARQUEE_REAL_DATA"]):
            data = dataset(profile, Path(folder) / "t.h5")
        cases = next_item_cases(data, "test", 1)
        print(f"{len(cases):,} users, {data.items:,} items, {len(data.item):,} events; {conditions()}")
        rows = []
        for name, scorer in methods(sys.argv[1:] or ("baselines", "sasrec", "ranking"), profile, data):
            found = validation_metrics(data, scorer, cases)
            rows.append((found["ndcg@10"], f"{found['recall@10']:.4f}", f"{found['coverage@10']:.3f}", name))
            print(f"{name}: test NDCG@10 {found['ndcg@10']:.4f}", flush=True)
    rows += [(one.metrics["ndcg@10"], "", "", f"{one.name}: {one.source}") for one in LEAVE_ONE_OUT]
    print(f"\n{'NDCG@10':>7} {'HR@10':>7} {'coverage@10':>11}  method")
    for ndcg, hits, coverage, name in sorted(rows, reverse=True):
        print(f"{ndcg:7.4f} {hits:>7} {coverage:>11}  {name}")


if __name__ == "__main__":
    main()
