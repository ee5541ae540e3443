"""Train a policy in an environment, from new weights or from those of a policy; keep the one with the highest return."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from torch import Tensor

from models.early_warnings import Row
from models.environments.marquee import Problem
from models.errors import LearnerError
from models.networks import Actor
from models.online.expected_exits import ExpectedExits
from models.online.gail import Discriminator, DiscriminatorRewards, Expert, TrainDiscriminator
from models.online.params import OnlineParams
from models.online.ppo import make_ppo
from models.online.sac import copy_weights, make_sac
from models.online.vec_env import SimulatedVecEnv
from models.policy import Policy
from models.space import Space
from models.threads import one_thread

# What Stable-Baselines3 records, and the metric's name here.
RECORDED = {
    "train/policy_gradient_loss": "actor_loss",
    "train/actor_loss": "actor_loss",
    "train/value_loss": "critic_loss",
    "train/critic_loss": "critic_loss",
    "train/entropy_loss": "entropy_loss",
    "train/approx_kl": "approximate_kl",
    "train/ent_coef": "entropy_weight",
    "train/discriminator_loss": "discriminator_loss",
}


class OnlineResult(NamedTuple):
    """A policy, the step that it is from, its measured return, and the metrics of its training."""

    policy: Policy
    step: int
    value: float  # its return
    rows: list[Row]


class Validation(BaseCallback):
    """Measures the policy's return now and then, and keeps the best weights of the actor.

    `learning` is the actor that is trained, on observations times `scale`; `actor` gets its weights at each measurement.
    """

    def __init__(
        self,
        learning: Actor,
        actor: Actor,
        scale: Tensor,
        measure: Callable[[], float],
        every: int,
        show: Callable[[int], None],
    ) -> None:
        super().__init__()
        self.learning, self.actor, self.scale = learning, actor, scale
        self.measure, self.every, self.show = measure, every, show
        self.rows: list[Row] = []
        self.best, self.best_step, self.due = -float("inf"), 0, 0
        self.weights: dict[str, Tensor] = {}

    def look(self) -> None:
        """Measure, and log what Stable-Baselines3 recorded last."""
        step = self.num_timesteps
        if isinstance(self.model, SAC):
            copy_weights(self.model, self.learning)
        self.actor.load_state_dict(rescaled(self.learning, self.scale))
        value = self.measure()
        self.rows.append((step, "validation", "return", value))
        recorded = self.logger.name_to_value
        self.rows += [(step, "train", RECORDED[name], float(recorded[name])) for name in RECORDED if name in recorded]
        if value > self.best:
            self.best, self.best_step = value, step
            self.weights = {name: weight.clone() for name, weight in self.actor.state_dict().items()}
        self.show(step)

    def _on_training_start(self) -> None:
        self.look()
        self.due = self.every

    def _on_step(self) -> bool:
        if self.num_timesteps >= self.due:
            self.look()
            self.due += self.every
        return True

    def _on_training_end(self) -> None:
        self.look()


def rescaled(actor: Actor, scale: Tensor) -> dict[str, Tensor]:
    """The weights with which an actor answers observations s as it answers s * scale with its own; `scale` (S,)."""
    own = actor.state_dict()
    return own | {"layers.0.weight": own["layers.0.weight"] * scale}


def train_online(
    problem: Problem,
    params: OnlineParams,
    measure: Callable[[Policy], float],
    *,
    start: Actor | None = None,
    expert: Expert | None = None,
    show: Callable[[int], None] = lambda _: None,
) -> OnlineResult:
    """Train a policy in an environment; equal arguments give equal weights.

    Args:
        problem: the users that may be trained with, and the items.
        params: algorithm, reward, length, seed.
        measure: the return by which the best policy is selected.
        start: the actor that is fine-tuned; its width takes precedence over `params.hidden_dim`. None: new weights.
        expert: the logged choices that GAIL imitates.
        show: called with the number of steps that are done.

    Raises:
        LearnerError: `start` has other sizes than the problem, or there is no expert for GAIL.
    """
    embedding = torch.from_numpy(problem.view.embedding)
    space = Space.of(embedding, problem.view.frame, problem.reward_bounds)
    if start is not None and (start.observation_dim, start.action_dim) != (space.observation_dim, space.action_dim):
        raise LearnerError(
            f"fine-tuning: expected an actor of observations of {space.observation_dim} and actions of {space.action_dim} "
            f"numbers; found {start.observation_dim} and {start.action_dim}. Choose a policy that was trained on this dataset."
        )
    with torch.random.fork_rng(), one_thread():
        torch.manual_seed(params.seed)
        width = params.hidden_dim if start is None else start.hidden_dim
        actor, learning = (Actor(space.observation_dim, space.action_dim, width, space.max_action) for _ in range(2))
        acting = problem.acting_by("item" if params.algorithm == "ppo" else "embedding")
        # The discriminator's rewards depend on what the actor sees, not on the true state alone.
        expected = params.expected and params.method == "online_ppo"
        env = SimulatedVecEnv(acting, params.envs, params.seed, expected=expected)
        scale = torch.from_numpy(env.scale)
        if start is not None:
            learning.load_state_dict(rescaled(start, 1 / scale))
        policy = Policy(actor, embedding, "cosine")
        validation = Validation(learning, actor, scale, lambda: measure(policy), params.validate_every, show)
        callbacks: list[BaseCallback] = [validation, *([ExpectedExits(env)] if expected else [])]
        model: PPO | SAC
        if params.algorithm == "sac":
            model = make_sac(env, learning, params, fine_tune=start is not None)
        elif params.reward == "gail":
            if expert is None or not len(expert.actions):
                raise LearnerError(
                    "gail: expected logged choices that were liked; found none. Use the environment's reward."
                )
            rewards = DiscriminatorRewards(
                env, Discriminator(space.observation_dim, space.action_dim, params.gail.hidden_dim)
            )
            callbacks.append(
                TrainDiscriminator(
                    rewards, Expert(expert.observations * scale, expert.actions), params.gail, params.seed
                )
            )
            model, sharpen = make_ppo(rewards, learning, embedding, params)
            callbacks.append(sharpen)
        else:
            model, sharpen = make_ppo(env, learning, embedding, params)
            callbacks.append(sharpen)
        model.set_logger(Logger(folder=None, output_formats=[]))
        model.learn(params.steps, callback=callbacks, log_interval=None)  # type: ignore[arg-type]
    actor.load_state_dict(validation.weights)
    return OnlineResult(policy, validation.best_step, validation.best, validation.rows)
