"""What surrounds the training loop: batches, what shares are tuned by, when checkpoints go."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from rankings_support import small_dataset
from small_artifacts_support import made_dataset, making, recipe_of

import tasks.learning
import tasks.train
import tasks.train_learners
from evaluation.fitted_dataset import FittedParams
from evaluation.protocols.cases import validation_cases
from evaluation.protocols.validation import validation_metrics
from models.environments.mechanics import Mechanics
from models.histories import Histories
from models.learners.ranking_config import RankingConfig
from models.learners.registry import LEARNERS
from models.learners.td3 import TD3Config
from models.networks import Precision
from models.policy import Publishable
from models.trainer_config import TrainerConfig
from storage.artifacts.store import ArtifactRef
from tasks.caching import artifact_store
from tasks.learning import make_learning
from tasks.train import TrainParams, checkpoints_of, train_learner
from tasks.train_learners import train_learners
from tasks.tuning import tuned


def test_a_held_out_batch_as_large_as_training_batches_stays_as_it_is(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "t.h5")
    starts = data.starts("all")
    learning = make_learning(TD3Config(hidden_dim=8), data, 16, "cosine", "cpu", 0)
    held_out = learning.gather(starts[:16])
    parts = [part for part in held_out if part is not None]
    before = [part.clone() for part in parts]
    for place in range(16, 80, 16):
        learning.gather_in_turn(starts[place : place + 16])
    assert all(torch.equal(now, then) for now, then in zip(parts, before, strict=True))


def test_windows_hold_every_training_action_once_and_no_column_of_padding(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "t.h5")
    config = LEARNERS["sasrec"].config.model_validate({"draw": "windows", "policy": {"length": 6, "width": 8}})
    learning = make_learning(config, data, 16, "cosine", "cpu", 0)
    assert torch.equal(learning.starts, data.window_starts("train", 6))
    assert learning.lengths is not None
    assert learning.lengths.tolist() == [
        min(7, start + data.frame + 1 - int(data.offset[user]))
        for start, user in zip(learning.starts.tolist(), data.users_of(learning.starts).tolist(), strict=True)
    ]
    short = learning.starts[learning.lengths == 4]
    assert learning.gather(short).items.shape == (len(short), 4)
    assert learning.gather(learning.starts).items.shape == (len(learning.starts), 7)
    by_default = make_learning(LEARNERS["sasrec"].config.model_validate({}), data, 16, "cosine", "cpu", 0)
    assert torch.equal(by_default.starts, data.starts("train"))
    assert by_default.lengths is None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("fast", [True, False])
def test_slow_products_are_told(
    precision: Precision, fast: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.learning, "bfloat16_is_fast", lambda device: fast)
    data = small_dataset(tmp_path / "t.h5")
    make_learning(TD3Config(hidden_dim=8, precision=precision), data, 16, "cosine", "cpu", 0)
    assert ("slower than float32" in caplog.text) == (precision == "bfloat16" and not fast)


def test_critics_that_are_asked_order_the_nearest_items(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "t.h5")
    known = Histories(data.item[: data.frame].long().unsqueeze(0), torch.ones(1, data.frame))
    scores, best = [], []
    for candidates in (0, 3):
        learning = make_learning(TD3Config(hidden_dim=8, critic_candidates=candidates), data, 16, "cosine", "cpu", 0)
        scores.append(learning.policy.scores(known))
        best.append(learning.learner.acting.state_dict().keys())
    assert (scores[0] != scores[1]).sum() <= 3
    assert not torch.equal(*scores)
    assert best[0] == best[1] == learning.policy.tensors().keys()  # critics are stored, asked or not


@pytest.mark.parametrize(
    ("selected_by", "metric"),
    [("ndcg@10_liked", "ndcg@10_liked"), ("fitted_return", "ndcg@10"), ("actor_loss", "ndcg@10")],
)
def test_weights_are_tuned_by_the_ranking_metric_that_selected_the_policy(
    tmp_path: Path, selected_by: str, metric: str
) -> None:
    data = small_dataset(tmp_path / "t.h5")
    settings = {"policy": {"width": 4, "critic_width": 4, "critic_candidates": 0}, "kernel": {"min_count": 1}}
    policy = make_learning(RankingConfig.model_validate(settings), data, 16, "cosine", "cpu", 0).policy
    cases = validation_cases(data, 50, 0)

    def metrics(tried: Publishable) -> dict[str, float]:
        return validation_metrics(data, tried, cases)

    found = tuned(policy, RankingConfig(), metrics, selected_by, data, 50, 0)
    first = found["questions"][0]
    assert first["metric"] == metric
    assert first["value"] == pytest.approx(metrics(policy)[metric], abs=1e-6)
    assert found["validation_ndcg@10"] == pytest.approx(metrics(policy)["ndcg@10"], abs=1e-6)


@pytest.mark.parametrize(("selected_by", "best"), [("fitted_return", 4), ("ndcg@10", 7), ("actor_loss", 7)])
def test_the_number_of_re_ranked_items_is_chosen_by_what_the_policy_was_selected_by(
    tmp_path: Path, selected_by: str, best: int
) -> None:
    config = TD3Config(hidden_dim=8, critic_candidates=9, candidate_grid=(0, 4, 7))
    learning = make_learning(config, small_dataset(tmp_path / "t.h5"), 16, "cosine", "cpu", 0)
    critics = learning.policy.parts()["critics"]  # type: ignore[attr-defined]

    measured = []

    def metrics(tried: Publishable) -> dict[str, float]:
        count = int(tried.config()["critic_candidates"])
        measured.append(count)
        return {"ndcg@10": 1 - abs(count - 7), "fitted_return": 1 - abs(count - 4)}

    data = small_dataset(tmp_path / "t.h5")
    found = tuned(learning.policy, config, metrics, selected_by, data, 50, 0)
    assert found["critic_candidates"] == learning.policy.config()["critic_candidates"] == best
    assert found["validation_ndcg@10"] == 1 - abs(best - 7)
    assert measured == [9, 0, 4, 7]
    assert learning.policy.parts()["critics"] is critics  # type: ignore[attr-defined]
    assert tuned(learning.policy, TD3Config(critic_candidates=9), metrics, selected_by, data, 50, 0) == {}


def test_a_checkpoint_is_selected_by_the_return_with_fitted_users(
    dataset: ArtifactRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = TrainerConfig(steps=4, batch_size=8, validate_every=1)
    fitted = FittedParams(mechanics=Mechanics(appeal=0, horizon=5), users=30, paths=10)
    params = TrainParams(
        learners=("td3",), td3=TD3Config(hidden_dim=8, actor_learning_rate=0.05), trainer=trainer, validation_steps=10,
        fitted=fitted, criteria={"td3": "fitted_return"},
    )  # fmt: skip
    train = train_learner.__wrapped__  # type: ignore[attr-defined]
    found = []

    def train_and_commit(*arguments: Any) -> ArtifactRef:
        with making("policy") as draft:
            train(draft, *arguments)
            found.append((draft.facts, pd.read_parquet(draft.path / "metrics.parquet")))
        return draft.committed

    monkeypatch.setattr(tasks.train, "Progress", lambda *_: SimpleNamespace(show=lambda *_: None))  # asks a server
    monkeypatch.setattr(tasks.train_learners, "train_learner", train_and_commit)
    train_learners(dataset, params, "cpu")
    facts, rows = found[0]
    returns = rows[(rows.split == "validation") & (rows.metric == "fitted_return")].set_index("step").value
    assert len(returns) == 5
    assert facts["selected_by"] == "fitted_return"
    assert facts["selected_update"] == returns.idxmax()
    assert returns.nunique() > 1


@pytest.fixture
def dataset() -> ArtifactRef:
    return made_dataset()


def test_checkpoints_go_only_when_the_policy_is_committed(
    dataset: ArtifactRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = TrainerConfig(steps=4, batch_size=8, validate_every=2, checkpoint_every=1)
    params = TrainParams(learners=("td3",), td3=TD3Config(hidden_dim=8), trainer=trainer, validation_steps=10)
    wanted = recipe_of("policy")
    train, die = train_learner.__wrapped__, True  # type: ignore[attr-defined]

    def train_and_commit(*arguments: Any) -> ArtifactRef:
        with artifact_store().create(wanted, [dataset]) as draft:
            train(draft, *arguments)
            if die:
                raise KeyboardInterrupt
        return draft.committed

    monkeypatch.setattr(tasks.train, "Progress", lambda *_: SimpleNamespace(show=lambda *_: None))  # asks a server
    monkeypatch.setattr(tasks.train_learners, "train_learner", train_and_commit)
    with pytest.raises(KeyboardInterrupt):
        train_learners(dataset, params, "cpu")
    found = checkpoints_of(wanted.digest).load_latest()
    assert found is not None
    assert found[0] == 3
    die = False
    train_learners(dataset, params, "cpu")
    assert checkpoints_of(wanted.digest).load_latest() is None
