"""What the conformance suite asks of every learner, asked of the learner that ranks: resuming, seeds, bounds, refusals."""

import io
from dataclasses import replace

import pytest
import torch
from unit.models.ranking_support import ITEMS, SPACE, config, learner_of, pieces, train, world

from models.batch import Sequences
from models.diagnostics import diagnose
from models.errors import LearnerError
from models.histories import Histories
from models.learners.ranking import Ranking


@pytest.mark.parametrize("state", ["frame", "gru", "attention"])
def test_several_threads_learn_the_same_bits(state: str) -> None:
    """Gradients of items that come again and again must not add up in an order that depends on threads."""
    generator = torch.Generator().manual_seed(0)
    items = torch.randint(ITEMS - 1, (64, 51), generator=generator)
    batch = Sequences(items, torch.ones(items.shape), torch.zeros(64))
    data = replace(world(), embedding=torch.randn((ITEMS, 128), generator=generator))
    settings = config(policy={"state": state, "length": 50, "width": 64})
    torch.set_num_threads(2)
    try:
        learners = [Ranking(settings, SPACE, data, "cpu", 0) for _ in range(2)]
        for learner in learners:
            for _ in range(4):
                learner.update(batch)
    finally:
        torch.set_num_threads(1)
    first, second = (learner.policy.state_dict() for learner in learners)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("state", ["frame", "gru", "attention"])
def test_saves_loads_and_resumes_to_the_same_bits(state: str) -> None:
    settings = config(policy={"state": state}, value_weight=0.1)
    whole, half = learner_of(settings), learner_of(settings)
    train(whole, 7)
    train(half, 3)
    buffer = io.BytesIO()
    torch.save(half.state_dict(), buffer)
    buffer.seek(0)
    resumed = learner_of(settings, seed=9)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    train(resumed, 4, first=3)
    for name, value in whole.policy.state_dict().items():
        assert torch.equal(value, resumed.policy.state_dict()[name]), name
    with pytest.raises(LearnerError, match="sizes"):
        learner_of(config(policy={"state": state, "width": 14})).load_state_dict(half.state_dict())


def test_looking_teaches_nothing() -> None:
    learner = learner_of(config(policy={"dropout": 0.5}))
    probe = pieces(5, seed=8)
    untrained, again = learner.losses(probe), learner.losses(probe)
    assert all(torch.equal(untrained[name], again[name]) for name in untrained)
    train(learner, 3)
    known = Histories(probe.items[:, :-1], probe.rewards[:, :-1])
    before = learner.policy.scores(known)
    first, second = learner.losses(probe), learner.losses(probe)
    assert all(torch.equal(first[name], second[name]) for name in first)
    found = diagnose(learner.compare(probe))
    assert {"value_policy_q95", "action_effective_rank"} <= found.keys()
    for name in ("value_logged", "value_policy", "value_target"):
        assert found[name] == pytest.approx(float(first[name]), rel=1e-4)
        assert found[f"{name}_q05"] < found[f"{name}_q50"] < found[f"{name}_q95"]
    assert torch.equal(before, learner.policy.scores(known))


@pytest.mark.parametrize("reward", [-4.0, 5.0])
def test_survives_rewards_at_the_bounds(reward: float) -> None:
    learner = learner_of(config(value_weight=1.0, reward_weight=1.0))
    for step in range(40):
        batch = pieces(8, seed=step)
        metrics = learner.update(batch._replace(rewards=torch.full_like(batch.rewards, reward)))
    assert all(torch.isfinite(value) for value in metrics.values())


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
    member: str, value: float, expected: str
) -> None:
    learner = learner_of(config())
    before = learner.policy.head.weight.clone()
    spoilt = pieces(8)
    getattr(spoilt, member)[-1:] = value
    with pytest.raises(LearnerError, match=expected):
        learner.update(spoilt)
    assert torch.equal(before, learner.policy.head.weight)
    learner.update(pieces(8))  # a refused batch leaves a learner that can go on


@pytest.mark.parametrize("spoil", ["losses", "state_dict"])
def test_a_check_that_is_read_late_lets_nothing_out(spoil: str) -> None:
    """As on a GPU."""
    learner = learner_of(config())
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


@pytest.mark.parametrize("seed", [3, 2**32 - 1])
def test_equal_seeds_learn_alike_and_others_not(seed: int) -> None:
    first, second, other = (learner_of(config(), one) for one in (seed, seed, 2))
    for learner in (first, second, other):
        train(learner, 3)
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    for learner in (first, second):
        train(learner, 2, first=3)
    for name, value in first.policy.state_dict().items():
        assert torch.equal(value, second.policy.state_dict()[name]), name
    assert not torch.equal(first.policy.head.weight, other.policy.head.weight)
