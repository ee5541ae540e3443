"""Ensembles as artifacts."""

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from small_artifacts_support import filled, made_dataset, untrained_policy

import tasks.ensembles
import tasks.train_learners
from evaluation.report.sections.cards.numbers import model_card
from models.ensemble import Ensemble
from models.histories import Histories
from models.learners.td3 import TD3Config
from serving.stored_policies import curves_of, facts_of, load_policy
from storage.artifacts.store import ArtifactRef
from tasks.caching import artifact_store
from tasks.datasets import open_dataset
from tasks.ensembles import combine, combine_policies, train_further_members
from tasks.policies import policies_on
from tasks.train import TrainParams
from tasks.train_learners import TrainingFailedError

SMALL = TD3Config(hidden_dim=8)


@pytest.fixture
def dataset() -> ArtifactRef:
    return made_dataset()


def combined(*given: Any) -> ArtifactRef:
    """`combine_policies` without Prefect."""
    return filled("policy", combine_policies, *given)


def test_seeds_become_one_more_policy_that_is_found_beside_the_newest_of_its_learner(
    dataset: ArtifactRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        tasks.train_learners, "train_one", lambda data, params, name, seed, *_: untrained_policy(data, SMALL, seed)
    )
    monkeypatch.setattr(tasks.ensembles, "combine_policies", combined)
    params = TrainParams(learners=("td3",), td3=SMALL, ensembles={"td3": 3}, validation_steps=10, seed=4)
    further = train_further_members(dataset, params, "cpu", None)
    policies = {"td3": untrained_policy(dataset, SMALL, params.seed)}
    made = combine(dataset, params, policies, further)["td3-ensemble"]
    assert policies_on(dataset) == {"td3": policies["td3"], "td3-ensemble": made}

    store, data = artifact_store(), open_dataset(dataset)
    members = [load_policy(store.open(ref), data.embedding) for ref in (policies["td3"], *further["td3"])]
    probe = Histories(*data.histories(data.starts("all")[:6]))
    policy = load_policy(store.open(made), data.embedding)
    assert torch.equal(policy.scores(probe), Ensemble(members).scores(probe))
    assert not torch.equal(members[0].scores(probe), members[1].scores(probe))
    curves = curves_of(store.open(made))
    facts = facts_of(store.manifest(made))
    assert facts.validation == pytest.approx(curves[curves["metric"] == "ndcg@10"]["value"].item(), abs=1e-6)
    assert facts.seconds_of_members > 0
    card = model_card("td3-ensemble", "policy", store.manifest(made))
    assert card.summary.startswith("The mean of 3 policies with different seeds. Two critics")
    assert "1802.09477" in card.paper


def test_a_member_that_fails_does_not_stop_the_others(dataset: ArtifactRef, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def train_one(data: ArtifactRef, params: TrainParams, learner: str, seed: int, *_: object) -> ArtifactRef:
        asked.append((learner, seed))
        if seed == 1:
            raise ValueError("no luck")
        return untrained_policy(data, SMALL, seed)

    monkeypatch.setattr(tasks.train_learners, "train_one", train_one)
    params = TrainParams(learners=("td3",), td3=SMALL, ensembles={"td3": 4}, side_by_side=1)
    with pytest.raises(TrainingFailedError, match=r"found policies of td3 \(seed 2\), td3 \(seed 3\).* no luck"):
        train_further_members(dataset, params, "cpu", None)
    assert asked == [("td3", 1), ("td3", 2), ("td3", 3)]


def test_only_a_learner_that_is_trained_has_an_ensemble() -> None:
    with pytest.raises(ValidationError, match=r"ensembles: expected some of learners, \['td3'\]; found \['iql'\]"):
        TrainParams(learners=("td3",), ensembles={"iql": 3})
