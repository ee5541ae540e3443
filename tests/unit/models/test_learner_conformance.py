"""One suite over every learner."""

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor
from unit.models.same_support import assert_same

from models.batch import Batch
from models.checks import BatchCheck
from models.errors import LearnerError
from models.learners.actor import ActorLearner
from models.learners.config import ActorConfig
from models.learners.cql import CQLConfig
from models.learners.iql import IQLConfig
from models.learners.policy_learning import PolicyLearningConfig
from models.learners.registry import LEARNERS, TRANSITION_LEARNERS, make_learner
from models.learners.td3_bc import TD3BCConfig
from models.space import Space

ACTOR: dict[str, Any] = {"hidden_dim": 32, "actor_learning_rate": 3e-3}
CRITIC = ACTOR | {"critic_learning_rate": 3e-3}
FAST = CRITIC | {
    "target_rate": 0.02,
    "good_reward": 0.9,
    "vae_learning_rate": 3e-3,
    "perturbation": 0.5,
    "initial_temperature": 0.01,
    "sampled_actions": 2,
}


def fast(name: str) -> ActorConfig:
    """A learner's config with the values of FAST that it has."""
    config = LEARNERS[name].config
    values = {key: value for key, value in FAST.items() if key in config.model_fields}
    made = config.model_validate(values)
    assert isinstance(made, ActorConfig)
    return made


# From the registry: a new learner is under this suite without a line here.
CONFIGS: dict[str, ActorConfig] = {name: fast(name) for name in TRANSITION_LEARNERS} | {
    "policy_learning-exponential": PolicyLearningConfig(**ACTOR, weighting="exponential", temperature=0.1),
}
# At their defaults these stay near the logged actions, whose mean is not the best one; like this they must find that.
SEEKING = CONFIGS | {
    "td3_bc": TD3BCConfig(**CRITIC, target_rate=0.02, alpha=100),
    "iql": IQLConfig(**CRITIC, target_rate=0.02, expectile=0.9, temperature=10),
    "cql": CQLConfig(**CRITIC, target_rate=0.02, initial_temperature=0.01, sampled_actions=2, conservative_weight=0.1),
}
VALUE_BASED = ("td_actor_critic", "ddpg", "td3", "td3_bc", "iql", "bcq", "sac", "cql")
S, D = 3, 2
BEST = torch.tensor([0.5, -0.3])
every_learner = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


def learner_of(config: ActorConfig, seed: int = 0) -> ActorLearner:
    return make_learner(config, Space(S, D, 1.0, -4.0, 5.0), "cpu", seed)


def bandit_reward(action: Tensor) -> Tensor:
    """1 - |a - BEST|², (B,): the best action is the same everywhere."""
    return 1 - (action - BEST).square().sum(1)


def bandit(rows: int, seed: int = 0) -> Batch:
    """One-step episodes; actions logged at random."""
    generator = torch.Generator().manual_seed(seed)
    observation = torch.randn((rows, S), generator=generator)
    action = torch.rand((rows, D), generator=generator) * 2 - 1
    elsewhere = torch.randn((rows, S), generator=generator)
    return Batch(observation, action, bandit_reward(action), elsewhere, torch.ones(rows))


def train(learner: ActorLearner, steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        learner.update(bandit(64, seed=step))


def test_the_suite_covers_every_learner_from_transitions() -> None:
    others = {name for name, entry in LEARNERS.items() if entry.learns_from == "sequences"}
    assert others == {
        "ranking",
        "gru4rec",
        "sasrec",
        "reinforce",
        "discrete_bcq",
    }  # their suite is test_sequence_conformance.py
    assert {config.name for config in CONFIGS.values()} == set(LEARNERS) - others


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
    assert isinstance(learner.actor_optimiser.inner, torch.optim.RMSprop)
    assert not learner.actor_optimiser.inner.state
    assert learner.actor_optimiser.inner.param_groups[0]["lr"] == config.actor_learning_rate
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


BOOTSTRAPPING = [name for name in TRANSITION_LEARNERS if "n_step" in LEARNERS[name].config.model_fields]


@pytest.mark.parametrize("name", BOOTSTRAPPING)
def test_the_target_of_n_steps_discounts_by_the_batch(name: str) -> None:
    """The target r + γᵐ (1 - d) v is linear in γᵐ, at 0 the sum of rewards, and at γ that of one step."""
    one, several = learner_of(CONFIGS[name]), learner_of(CONFIGS[name].model_copy(update={"n_step": 3}))
    batch = bandit(16)._replace(terminal=(torch.arange(16) % 3 == 0).float())

    def target(discount: float) -> Tensor:
        learner = learner_of(several.config)
        y: Tensor = learner.target(batch._replace(discount=torch.full((16,), discount)))  # type: ignore[attr-defined]
        return y.detach()

    assert torch.equal(target(0.0), batch.reward)
    torch.testing.assert_close(target(0.99), one.target(batch).detach())  # type: ignore[attr-defined]
    torch.testing.assert_close(2 * (target(0.4) - batch.reward), target(0.8) - batch.reward)
    assert torch.equal(target(0.8)[::3], batch.reward[::3])


@pytest.mark.parametrize("name", BOOTSTRAPPING)
def test_n_steps_are_not_made_of_single_ones(name: str) -> None:
    """A stream yields single steps: summing rewards that are not there must not pass in silence."""
    learner = learner_of(CONFIGS[name].model_copy(update={"n_step": 3}))
    before = copy.deepcopy(learner.state_dict())
    with pytest.raises(LearnerError, match=r"n_step = 3 steps; found single steps\. Make batches with .*n_step is 1"):
        learner.update(bandit(8))
    assert_same(before, learner.state_dict())
    with pytest.raises(LearnerError, match="found single steps"):
        learner.losses(bandit(8))


@pytest.mark.parametrize("name", BOOTSTRAPPING)
def test_sums_of_n_rewards_have_wider_bounds(name: str) -> None:
    learner = learner_of(CONFIGS[name].model_copy(update={"n_step": 2, "discount": 0.5}))
    batch = bandit(8)._replace(discount=torch.full((8,), 0.25))
    for most in (7.5, -6.0):  # 1.5 times the bounds of one reward
        learner.update(batch._replace(reward=torch.full((8,), most)))
        with pytest.raises(LearnerError, match=r"rewards from -6 to 7\.5; found one outside"):
            learner.update(batch._replace(reward=torch.full((8,), 1.01 * most)))


def test_learns_nothing_from_batches_without_a_good_action() -> None:
    learner = learner_of(CONFIGS["policy_learning"])
    before = learner.act(bandit(5).observation)
    learner.update(bandit(8)._replace(reward=torch.full((8,), 0.89)))
    assert torch.equal(before, learner.act(bandit(5).observation))


# A problem of two steps whose first reward misleads. The first action a0 costs (a0 + ½)² and becomes the place x; the
# second pays 2x - (a1 - x)². So a1* = x and V(x) = 2x, and a0* = argmax -(a0 + ½)² + γ 2 a0 = γ - ½, while the first
# reward alone asks for -½. With γ = 0.9 an optimal episode is worth γ² - γ = -0.09, and a myopic one -γ = -0.9.
GAMMA, BEST_RETURN, MYOPIC_RETURN = 0.9, -0.09, -0.9
CHAIN = Space(3, 1, 1.0, -6.0, 2.0)


def chain(rows: int, seed: int) -> Batch:
    """Logged transitions of both steps, actions at random; an observation is (first step?, second step?, place)."""
    generator = torch.Generator().manual_seed(seed)
    second = (torch.rand(rows, generator=generator) < 0.5).float()
    place = (torch.rand(rows, generator=generator) * 2 - 1) * second
    action = torch.rand(rows, generator=generator) * 2 - 1
    reward = torch.where(second == 1, 2 * place - (action - place).square(), -(action + 0.5).square())
    after = torch.stack((torch.zeros(rows), torch.ones(rows), action), 1)
    return Batch(torch.stack((1 - second, second, place), 1), action.unsqueeze(1), reward, after, second)


def episode(learner: ActorLearner) -> tuple[float, float]:
    """The policy's first action, and the true return of its episode."""
    first = float(learner.act(torch.tensor([[1.0, 0.0, 0.0]])))
    second = float(learner.act(torch.tensor([[0.0, 1.0, first]])))
    return first, -((first + 0.5) ** 2) + GAMMA * (2 * first - (second - first) ** 2)


def learnt_on_the_chain(name: str) -> ActorLearner:
    changes = {} if name == "reward_actor_critic" else {"discount": GAMMA}
    learner = make_learner(SEEKING[name].model_copy(update=changes), CHAIN, "cpu", 0)
    for step in range(900):
        learner.update(chain(64, seed=step))
    return learner


@pytest.mark.parametrize("name", VALUE_BASED)
def test_temporal_difference_finds_the_known_optimum_of_two_steps(name: str) -> None:
    first, value = episode(learnt_on_the_chain(name))
    assert abs(first - (GAMMA - 0.5)) < 0.15
    assert value > BEST_RETURN - 0.05


def test_reward_regression_takes_the_bait() -> None:
    first, value = episode(learnt_on_the_chain("reward_actor_critic"))
    assert abs(first + 0.5) < 0.15
    assert value < MYOPIC_RETURN + 0.3 < BEST_RETURN - 0.4
