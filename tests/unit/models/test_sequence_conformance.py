"""What the conformance suite asks of every learner, asked of those from sequences: resuming, seeds, bounds, refusals."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from unit.models.ranking_support import DATA, ITEMS, any_learner_of, pieces, settings_of, train, world
from unit.models.same_support import assert_same

from models.batch import Sequences
from models.diagnostics import diagnose
from models.errors import LearnerError
from models.histories import Histories
from models.learners.config import SequenceConfig
from models.learners.registry import LEARNERS
from serving.stored_policies import load_policy

# From the registry: a new learner is under this suite without a line here. GRU4Rec and SASRec are settings of `ranking`.
NAMES = [name for name, entry in LEARNERS.items() if entry.learns_from == "sequences" and not entry.baseline]
STATES = ("frame", "gru", "attention")
CASES = [("ranking", state) for state in STATES] + [(name, "gru") for name in NAMES if name != "ranking"]
every_learner = pytest.mark.parametrize("name", NAMES)
every_case = pytest.mark.parametrize(("name", "state"), CASES)


def settings(name: str, **changes: Any) -> SequenceConfig:
    """With every term of the loss that a learner has."""
    return settings_of(name, **({"value_weight": 0.1} if name == "ranking" else {}) | changes)


@every_case
def test_several_threads_learn_the_same_bits(name: str, state: str) -> None:
    """Gradients of items that come again and again must not add up in an order that depends on threads."""
    generator = torch.Generator().manual_seed(0)
    items = torch.randint(ITEMS - 1, (64, 51), generator=generator)
    batch = Sequences(items, torch.ones(items.shape), torch.zeros(64))
    data = replace(world(), embedding=torch.randn((ITEMS, 128), generator=generator))
    chosen = settings(name, policy={"state": state, "length": 50, "width": 64})
    torch.set_num_threads(2)
    try:
        learners = [any_learner_of(chosen, data=data) for _ in range(2)]
        for learner in learners:
            for _ in range(2):
                learner.update(batch)
    finally:
        torch.set_num_threads(1)
    first, second = (learner.policy.state_dict() for learner in learners)
    assert all(torch.equal(first[name], second[name]) for name in first)


@every_case
def test_saves_loads_and_resumes_to_the_same_bits(name: str, state: str) -> None:
    chosen = settings(name, policy={"state": state})
    whole, half = any_learner_of(chosen), any_learner_of(chosen)
    train(whole, 7)
    train(half, 3)
    buffer = io.BytesIO()
    torch.save(half.state_dict(), buffer)
    buffer.seek(0)
    resumed = any_learner_of(chosen, seed=9)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    train(resumed, 4, first=3)
    assert_same(whole.state_dict(), resumed.state_dict())
    with pytest.raises(LearnerError, match="sizes"):
        any_learner_of(settings(name, policy={"state": state, "width": 14})).load_state_dict(half.state_dict())
    other = any_learner_of(settings("reinforce" if name == "ranking" else "ranking"))
    with pytest.raises(LearnerError, match="expected one of"):
        other.load_state_dict(half.state_dict())


@every_learner
def test_looking_teaches_nothing(name: str) -> None:
    learner = any_learner_of(settings(name, policy={"dropout": 0.5}))
    probe = pieces(5, seed=8)
    untrained, again = learner.losses(probe), learner.losses(probe)
    assert all(torch.equal(untrained[name], again[name]) for name in untrained)
    train(learner, 3)
    known = Histories(probe.items[:, :-1], probe.rewards[:, :-1])
    before = learner.policy.scores(known)
    first, second = learner.losses(probe), learner.losses(probe)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(value.ndim == 0 and not value.requires_grad for value in first.values())
    assert "actor_loss" in first
    found = diagnose(learner.compare(probe))
    assert "action_effective_rank" in found
    for value in [metric for metric in ("value_logged", "value_policy", "value_target") if metric in first]:
        assert found[value] == pytest.approx(float(first[value]), rel=1e-4)
        assert found[f"{value}_q05"] < found[f"{value}_q50"] < found[f"{value}_q95"]
    assert torch.equal(before, learner.policy.scores(known))


@every_learner
@pytest.mark.parametrize("reward", [-4.0, 5.0])
def test_survives_rewards_at_the_bounds(name: str, reward: float) -> None:
    learner = any_learner_of(settings(name, **{"value_weight": 1.0, "reward_weight": 1.0} if name == "ranking" else {}))
    for step in range(40):
        batch = pieces(8, seed=step)
        metrics = learner.update(batch._replace(rewards=torch.full_like(batch.rewards, reward)))
    assert all(torch.isfinite(value) for value in metrics.values())


@every_learner
def test_what_training_never_saw_does_not_spoil_an_update(name: str) -> None:
    learner = any_learner_of(settings(name))
    batch = pieces(6, seed=4)
    batch.items[:, 1:] = ITEMS - 1  # nobody has it among the training events
    assert all(torch.isfinite(value) for value in learner.update(batch).values())
    assert all(bool(value.isfinite().all()) for value in learner.policy.state_dict().values())


@every_learner
@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        ("rewards", torch.nan, "NaN or infinity in rewards"),
        ("terminal", torch.inf, "NaN or infinity in terminal"),
        ("rewards", -4.01, "rewards from -4 to 5; found one outside"),
        ("rewards", 5.01, "rewards from -4 to 5; found one outside"),
        ("rewards", 1e30, "rewards from -4 to 5; found one outside"),
    ],
)
def test_refuses_what_is_no_number_or_no_reward_before_it_reaches_the_weights(
    name: str, member: str, value: float, expected: str
) -> None:
    learner = any_learner_of(settings(name))
    before = learner.policy.head.weight.clone()
    spoilt = pieces(8)
    getattr(spoilt, member)[-1:] = value
    with pytest.raises(LearnerError, match=expected):
        learner.update(spoilt)
    assert torch.equal(before, learner.policy.head.weight)
    learner.update(pieces(8))  # a refused batch leaves a learner that can go on


@every_learner
@pytest.mark.parametrize("spoil", ["losses", "state_dict"])
def test_a_check_that_is_read_late_lets_nothing_out(name: str, spoil: str) -> None:
    """As on a GPU."""
    learner = any_learner_of(settings(name))
    good = learner.state_dict()
    learner.check.every = 3
    bad = pieces(8)
    bad.rewards[0, -1] = 9.0
    learner.update(bad)
    for _ in range(2):
        with pytest.raises(LearnerError, match="found one outside"):
            learner.state_dict() if spoil == "state_dict" else learner.losses(pieces(8))
    learner.load_state_dict(good)
    train(learner, 3)
    learner.state_dict()


@every_learner
@pytest.mark.parametrize("seed", [3, 2**32 - 1])
def test_equal_seeds_learn_alike_and_others_not(name: str, seed: int) -> None:
    first, second, other = (any_learner_of(settings(name), one) for one in (seed, seed, 2))
    for learner in (first, second, other):
        train(learner, 3)
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    for learner in (first, second):
        train(learner, 2, first=3)
    assert_same(first.state_dict(), second.state_dict())
    assert not torch.equal(first.policy.head.weight, other.policy.head.weight)


@every_learner
def test_restarts_with_another_optimiser_at_the_same_learning_rates(name: str) -> None:
    learner = any_learner_of(settings(name))
    train(learner, 2)
    before = learner.policy.head.weight.clone()
    rates = {part: optimiser.inner.param_groups[0]["lr"] for part, optimiser in learner.optimisers.items()}
    learner.restart("rmsprop")
    assert torch.equal(before, learner.policy.head.weight)
    assert all(isinstance(part.inner, torch.optim.RMSprop) for part in learner.optimisers.values())
    assert rates == {part: optimiser.inner.param_groups[0]["lr"] for part, optimiser in learner.optimisers.items()}
    train(learner, 1)
    assert not torch.equal(before, learner.policy.head.weight)


@every_learner
def test_a_policy_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    learner = any_learner_of(settings(name))
    train(learner, 3)
    policy = learner.recommender(DATA.embedding, "cosine")
    save_file(policy.tensors(), tmp_path / "policy.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(policy.config()))
    again = load_policy(tmp_path, DATA.embedding)
    probe = pieces(5)
    known = Histories(probe.items[:, :-1], probe.rewards[:, :-1])
    torch.testing.assert_close(again.scores(known), policy.scores(known), rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(again.act(known), policy.act(known))
