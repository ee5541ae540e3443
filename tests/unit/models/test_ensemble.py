"""Ensembles of policies with different seeds."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.ensemble import Ensemble, standardised
from models.errors import PolicyError
from models.fitted_terms import TrainingCatalogue
from models.histories import Histories
from models.networks import Actor, Critics
from models.policy import Policy, Publishable
from models.policy_formats import policy_from
from models.ranking_policy import RankingPolicy
from models.ranking_policy_config import RankingPolicyConfig
from models.term_weights import TermWeights

ITEMS = torch.randn((9, 4), generator=torch.Generator().manual_seed(5))
PROBE = Histories(torch.tensor([[0, 3, 5], [8, 1, 2]]), torch.tensor([[1.0, -1.0, 5.0], [2.0, 0.0, 3.0]]))


def nearest(critics: bool) -> Policy:
    return Policy(Actor(10, 4, 8, 1.0), ITEMS, "cosine", Critics(2, 10, 4, 8) if critics else None, 3 * critics)


def ranking() -> RankingPolicy:
    counts, rows = torch.arange(9), torch.tensor([1, 4])
    catalogue = TrainingCatalogue(ITEMS, counts, counts // 2, rows, torch.randn(2, 2), torch.randn(2, 2), 5.0)
    policy = RankingPolicy(RankingPolicyConfig(width=4, critic_width=4), catalogue).eval()
    policy.weights["next"] = TermWeights(actor=1.0, popularity=1.0, transitions=1.0, content=4.0)
    policy.weights["liked"] = TermWeights(associations=1.0, taste=2.0)
    return policy


def test_scores_and_actions_are_means_of_the_members() -> None:
    members = [nearest(critics=False), nearest(critics=True), ranking()]
    ensemble = Ensemble(members)
    scores, action = torch.zeros(2, 9, dtype=torch.float64), torch.zeros(2, 4)
    for member in members:
        own = member.scores(PROBE).double()
        for row in range(2):
            deviation = (sum((float(one) - float(own[row].mean())) ** 2 for one in own[row]) / 9) ** 0.5
            scores[row] += (own[row] - own[row].mean()) / deviation / 3
        action += member.act(PROBE) / 3
    torch.testing.assert_close(ensemble.scores(PROBE), scores.float())
    torch.testing.assert_close(ensemble.act(PROBE), action)


def test_the_members_answer_the_question_that_the_ensemble_is_asked() -> None:
    members: list[Publishable] = [nearest(critics=False), ranking()]
    answering = Ensemble(members).serving("liked")
    expected = Ensemble([members[0], members[1].serving("liked")])  # type: ignore[attr-defined]
    assert torch.equal(answering.scores(PROBE), expected.scores(PROBE))
    assert not torch.equal(answering.scores(PROBE), Ensemble(members).scores(PROBE))


def test_a_member_without_preferences_counts_nothing() -> None:
    assert torch.equal(standardised(torch.full((1, 5), 3.0)), torch.zeros(1, 5))


@pytest.mark.parametrize("kind", ["nearest", "ranking"])
def test_it_comes_back_from_its_files(tmp_path: Path, kind: str) -> None:
    members: list[Publishable] = [ranking(), ranking()] if kind == "ranking" else [nearest(True), nearest(False)]
    ensemble = Ensemble(members)
    save_file(ensemble.tensors(), tmp_path / "p.safetensors")
    config = json.loads(json.dumps(ensemble.config()))
    again = policy_from(config, load_file(tmp_path / "p.safetensors"), ITEMS)
    # A ranking policy's kernel is stored in half precision.
    torch.testing.assert_close(again.scores(PROBE), ensemble.scores(PROBE), rtol=0, atol=2e-3 * (kind == "ranking"))
    assert torch.equal(again.act(PROBE), ensemble.act(PROBE))


def test_what_is_no_ensemble_is_refused() -> None:
    ensemble = Ensemble([nearest(True), nearest(False)])
    config, tensors = ensemble.config(), ensemble.tensors()
    for wrong, said in (
        (config | {"members": config["members"][:1]}, "members"),
        (config | {"members": [config, config]}, "expected format"),  # an ensemble of ensembles
        (config | {"members": [{}, config["members"][1]]}, "expected format"),
        (config | {"members": config["members"][::-1]}, "weights that fit its config"),
        (config | {"more": 1}, "more"),
    ):
        with pytest.raises(PolicyError, match=said):
            policy_from(wrong, tensors, ITEMS)
    with pytest.raises(PolicyError, match=r"weights of 2 members; found 2\.actor"):
        policy_from(config, tensors | {"2.actor.layers.0.bias": torch.ones(8)}, ITEMS)
