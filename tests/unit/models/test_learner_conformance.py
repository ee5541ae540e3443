"""One suite over every learner."""

import copy
import io

import pytest
import torch
from unit.models.learners_support import (
    BEST,
    CONFIGS,
    SEEKING,
    D,
    S,
    bandit,
    bandit_reward,
    every_learner,
    learner_of,
    train,
)
from unit.models.same_support import assert_same

from models.batch import Batch
from models.checks import BatchCheck
from models.errors import LearnerError
from models.learners.config import ActorConfig
from models.learners.registry import LEARNERS, make_learner
from models.space import Space


def test_the_suite_covers_every_learner_from_transitions() -> None:
    from_transitions = {name for name, entry in LEARNERS.items() if entry.learns_from == "transitions"}
    assert {config.name for config in CONFIGS.values()} == from_transitions


@pytest.mark.parametrize("name", SEEKING)
def test_finds_the_known_optimum_of_a_one_step_problem(name: str) -> None:
    learner = learner_of(SEEKING[name])
    train(learner, 600)
    action = learner.act(bandit(200, seed=10_000).observation)
    assert (action - BEST).square().sum(1).mean() < 0.05


@every_learner
def test_improves_on_the_logged_actions(config: ActorConfig) -> None:
    learner = learner_of(config)
    train(learner, 400)
    batch = bandit(500, seed=10_000)
    assert bandit_reward(learner.act(batch.observation)).mean() > batch.reward.mean() + 0.3
    metrics = learner.losses(batch)
    if "value_policy" in metrics and config.name != "cql":  # whose critics are to value no action above the logged ones
        assert metrics["value_policy"] > metrics["value_logged"] + 0.2


@every_learner
def test_saves_loads_and_resumes_to_the_same_bits(config: ActorConfig) -> None:
    scheduled = config.optimiser.model_copy(update={"schedule": "warm_restarts", "period": 4})
    config = config.model_copy(update={"optimiser": scheduled})
    whole, half = learner_of(config), learner_of(config)
    for learner, steps in ((whole, 8), (half, 5)):
        train(learner, 3)
        learner.restart("radam")
        train(learner, steps, first=3)
    buffer = io.BytesIO()
    torch.save(half.state_dict(), buffer)
    buffer.seek(0)
    resumed = learner_of(config, seed=99)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    train(resumed, 3, first=8)
    assert_same(whole.state_dict(), resumed.state_dict())


def test_metrics_that_are_kept_between_steps_come_back_to_the_learners_device() -> None:
    """A checkpoint is read on the CPU; a delayed actor's metrics are summed up with the critics' until its next step."""
    learner = learner_of(CONFIGS["td3"])
    train(learner, 3)
    state = learner.state_dict()
    learner.device = torch.device("meta")
    learner.load_state_dict(state)
    assert {value.device.type for value in learner.actor_metrics.values()} == {"meta"}


@every_learner
def test_refuses_the_state_of_another(config: ActorConfig) -> None:
    learner = learner_of(config)
    wider = learner_of(config.model_copy(update={"hidden_dim": 33}))
    with pytest.raises(LearnerError, match="with these sizes; found"):
        learner.load_state_dict(wider.state_dict())
    other = learner_of(CONFIGS["ddpg" if config.name == "td3" else "td3"])
    with pytest.raises(LearnerError, match="expected one of"):
        learner.load_state_dict(other.state_dict())


@every_learner
def test_restarts_with_another_optimiser_and_the_same_learning_rates(config: ActorConfig) -> None:
    learner = learner_of(config)
    train(learner, 3)
    before = learner.act(bandit(5).observation)
    learner.restart("rmsprop")
    assert torch.equal(before, learner.act(bandit(5).observation))
    inner = learner.optimisers["actor"].inner
    assert isinstance(inner, torch.optim.RMSprop)
    assert not inner.state
    assert inner.param_groups[0]["lr"] == config.actor_learning_rate
    train(learner, 2)
    assert not torch.equal(before, learner.act(bandit(5).observation))
    with pytest.raises(LearnerError, match=r"expected one of adam.*found 'ranger'"):
        learner.restart("ranger")  # type: ignore[arg-type]


@every_learner
def test_equal_seeds_learn_alike_and_others_not(config: ActorConfig) -> None:
    first, second, other = learner_of(config, 1), learner_of(config, 1), learner_of(config, 2)
    for learner in (first, second, other):
        train(learner, 4)
    probe = bandit(5).observation
    assert torch.equal(first.act(probe), second.act(probe))
    assert not torch.equal(first.act(probe), other.act(probe))


@every_learner
@pytest.mark.parametrize("reward", [-4.0, 5.0])
def test_survives_rewards_at_the_bounds(config: ActorConfig, reward: float) -> None:
    learner = learner_of(config)
    for step in range(100):
        batch = bandit(32, seed=step)
        metrics = learner.update(batch._replace(reward=torch.full((32,), reward), terminal=torch.zeros(32)))
    assert all(torch.isfinite(value) for value in metrics.values())


@every_learner
@pytest.mark.parametrize("member", Batch._fields[:5])
def test_rejects_nan_before_it_reaches_the_weights(config: ActorConfig, member: str) -> None:
    learner = learner_of(config)
    before = copy.deepcopy(learner.state_dict())
    batch = bandit(8)
    spoilt = getattr(batch, member).clone()
    spoilt.view(-1)[3] = torch.nan
    with pytest.raises(LearnerError, match=f"NaN or infinity in {member}"):
        learner.update(batch._replace(**{member: spoilt}))
    assert_same(before, learner.state_dict())
    learner.update(batch)  # a refused batch leaves a learner that can go on


@every_learner
@pytest.mark.parametrize("reward", [-4.01, 5.01, 1e30])
def test_rejects_rewards_beyond_the_bounds(config: ActorConfig, reward: float) -> None:
    learner = learner_of(config)
    before = learner.act(bandit(5).observation)
    batch = bandit(8)
    batch.reward[3] = reward
    with pytest.raises(LearnerError, match=r"rewards from -4 to 5; found one outside"):
        learner.update(batch)
    assert torch.equal(before, learner.act(bandit(5).observation))


@pytest.mark.parametrize("spoil", ["losses", "state_dict", "update"])
def test_a_check_that_is_read_late_lets_nothing_out(spoil: str) -> None:
    """As on a GPU, where reading every verdict would stop its queue."""
    learner = learner_of(CONFIGS["td3"])
    learner.check = BatchCheck(learner.space, torch.device("cpu"), every=3)
    bad = bandit(8)._replace(reward=torch.full((8,), torch.nan))
    train(learner, 3)
    learner.update(bad)
    learner.update(bandit(8))
    for _ in range(2):  # and never afterwards: the weights are spoilt
        with pytest.raises(LearnerError, match="NaN or infinity in reward"):
            learner.state_dict() if spoil == "state_dict" else getattr(learner, spoil)(bandit(8))
    learner.load_state_dict(learner_of(CONFIGS["td3"]).state_dict())
    train(learner, 3)
    learner.state_dict()


@every_learner
def test_validation_losses_teach_nothing(config: ActorConfig) -> None:
    learner = learner_of(config)
    train(learner, 3)
    before = learner.act(bandit(5).observation)
    metrics = learner.losses(bandit(64))
    assert torch.equal(before, learner.act(bandit(5).observation))
    assert "actor_loss" in metrics
    assert all(value.ndim == 0 and not value.requires_grad for value in metrics.values())


@every_learner
def test_updates_report_numbers_that_hold_no_graph(config: ActorConfig) -> None:
    learner = learner_of(config)
    for seed in range(3):
        metrics = learner.update(bandit(16, seed))
    assert {"actor_loss", "actor_gradient_norm"} <= metrics.keys()
    assert all(value.ndim == 0 and not value.requires_grad for value in metrics.values())
    assert set(learner.losses(bandit(4))) == {name for name in metrics if not name.endswith(("norm", "steps_clipped"))}


@every_learner
def test_actions_stay_within_the_bounds(config: ActorConfig) -> None:
    learner = make_learner(config, Space(S, D, 0.25, -4.0, 5.0), "cpu", 0)
    train(learner, 50)
    assert learner.act(100 * bandit(50).observation).abs().max() <= 0.25


@every_learner
def test_diversity_drives_actions_apart(config: ActorConfig) -> None:
    plain = learner_of(config)
    diverse = learner_of(config.model_copy(update={"diversity": 2.0, "diversity_measure": "euclidean"}))
    for learner in (plain, diverse):
        train(learner, 200)
    probe = bandit(100, seed=10_000).observation
    assert torch.pdist(diverse.act(probe)).mean() > torch.pdist(plain.act(probe)).mean() + 0.2


def test_learns_nothing_from_batches_without_a_good_action() -> None:
    learner = learner_of(CONFIGS["policy_learning"])
    before = learner.act(bandit(5).observation)
    learner.update(bandit(8)._replace(reward=torch.full((8,), 0.89)))
    assert torch.equal(before, learner.act(bandit(5).observation))
