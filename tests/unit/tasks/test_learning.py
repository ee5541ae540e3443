"""What surrounds the training loop: batches, what shares are tuned by, when checkpoints go."""

from pathlib import Path
from typing import Any

import pytest
import torch
from rankings_support import small_dataset

import tasks.train
from models.learners.td3 import TD3Config
from models.ranking_policy import Catalogue, RankingPolicy, RankingPolicyConfig
from storage.artifacts import ArtifactRef
from tasks.learning import make_learning
from tasks.train import TrainParams, checkpoints_of, train_learners, tuned


def test_a_held_out_batch_as_large_as_training_batches_stays_as_it_is(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "t.h5")
    starts = data.starts("all")
    learning = make_learning(TD3Config(hidden_dim=8), data, 16, "cosine", "cpu", 0)
    held_out = learning.gather(starts[:16])
    before = [part.clone() for part in held_out]
    for place in range(16, 80, 16):
        learning.gather_in_turn(starts[place : place + 16])
    assert all(torch.equal(now, then) for now, then in zip(held_out, before, strict=True))


@pytest.mark.parametrize(("selected_by", "popularity"), [("ndcg@10_liked", 0.0), ("ndcg@10", 0.5), ("actor_loss", 0.5)])
def test_shares_are_tuned_by_what_the_policy_was_selected_by(selected_by: str, popularity: float) -> None:
    catalogue = Catalogue(torch.eye(4), torch.ones(4), torch.arange(4), torch.eye(4))
    policy = RankingPolicy(RankingPolicyConfig(width=4, critic_width=4), catalogue)

    def metrics(tried: RankingPolicy) -> dict[str, float]:
        share = tried.params.popularity
        return {"ndcg@10": 1 - abs(share - 0.5), "ndcg@10_liked": 1 - share}

    found = tuned(policy, metrics, selected_by)
    assert found["shares"]["popularity"] == policy.params.popularity == popularity
    assert found["validation_ndcg@10"] == 1 - abs(popularity - 0.5)


def test_checkpoints_outlive_a_kill_before_the_policy_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path))
    params, digest = TrainParams(learners=("td3",)), "ab" * 32
    dataset = ArtifactRef(kind="dataset", digest="cd" * 32, uri="", sha256="", size_bytes=1, rows=1, schema_version=1)
    checkpoints_of(digest).save(7, {"step": 7})

    def killed(*_: Any) -> ArtifactRef:
        raise KeyboardInterrupt

    monkeypatch.setattr(tasks.train, "train_learner", killed)
    with pytest.raises(KeyboardInterrupt):
        train_learners(dataset, params, "cpu")
    assert checkpoints_of(digest).load_latest() == (7, {"step": 7})
    monkeypatch.setattr(tasks.train, "train_learner", lambda *_: dataset.model_copy(update={"digest": digest}))
    train_learners(dataset, params, "cpu")
    assert checkpoints_of(digest).load_latest() is None
