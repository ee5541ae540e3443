"""Policies as ONNX files, run by another runtime."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from unit.serving.serving_support import ITEMS, embedding, nearest, ranking

from models.ensemble import Ensemble
from models.errors import PolicyError
from models.histories import Histories
from models.policy import Policy
from models.ranking_policy import RankingPolicy, RankingPolicyConfig, TrainingCatalogue
from serving import onnx_export
from serving.onnx_export import OnnxError, export_onnx, input_length
from serving.recommend import Recommender


def attention() -> RankingPolicy:
    config = RankingPolicyConfig(width=4, length=5, critic_width=4, state="attention")
    return RankingPolicy(
        config, TrainingCatalogue(embedding(), torch.arange(ITEMS), torch.arange(0), torch.zeros(0, 0), 5.0)
    ).eval()


def needs_parity(recommender: Recommender, policy: Policy | RankingPolicy, folder: Path) -> None:
    """The file answers as the policy does, for any number of histories."""
    facts = export_onnx(replace(recommender, policy=policy), folder)
    session = onnxruntime.InferenceSession(folder / "policy.onnx")
    for rows in (1, 7):
        items = torch.randint(ITEMS, (rows, facts["length"]))
        rewards = torch.randint(-2, 6, items.shape).float()
        if isinstance(policy, RankingPolicy):
            items[0, :2], rewards[0, :2] = -1, 0
        action, scores = session.run(None, {"items": items.numpy(), "rewards": rewards.numpy()})
        histories = Histories(items, rewards)
        np.testing.assert_allclose(action, policy.act(histories), atol=1e-5)
        np.testing.assert_allclose(scores, policy.scores(histories), atol=1e-4)


@pytest.mark.nightly
def test_another_runtime_gives_the_scores_of_a_policy_that_critics_re_rank(
    recommender: Recommender, tmp_path: Path
) -> None:
    needs_parity(recommender, nearest(embedding()), tmp_path)


def test_another_runtime_gives_the_scores_of_a_ranking_policy(recommender: Recommender, tmp_path: Path) -> None:
    made = ranking(embedding())
    stored = RankingPolicy.from_tensors(made.config(), made.tensors(), embedding())  # with kernels of half precision
    needs_parity(recommender, stored, tmp_path / "out")
    about = json.loads((tmp_path / "out" / "items.json").read_text())
    assert about["movie_ids"] == recommender.catalogue.ids.tolist()
    assert (about["format"], about["policy"], about["length"]) == ("marquee-onnx/1", recommender.digest, 5)
    assert about["reward"] == recommender.ratings.reward.model_dump()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["items.json", "policy.onnx"]


@pytest.mark.nightly
def test_another_runtime_gives_the_scores_of_an_attention_policy(recommender: Recommender, tmp_path: Path) -> None:
    needs_parity(recommender, attention(), tmp_path)


def test_what_cannot_be_exported_is_refused(
    recommender: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = Ensemble([nearest(embedding()), nearest(embedding())])
    with pytest.raises(PolicyError, match="found Ensemble"):
        export_onnx(replace(recommender, policy=policies), tmp_path / "out")
    monkeypatch.setattr(onnx_export, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(OnnxError, match=r"Install marquee\[onnx\]"):
        export_onnx(recommender, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert input_length(ranking(embedding())) == 5
