"""Base of the learners from transitions: the actor, its gradient step, its state."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.batch import Batch, BatchSource
from models.checks import BatchCheck
from models.learners.config import ActorConfig
from models.learners.diversity import likeness
from models.learners.entry import ActionComparison
from models.learners.resumable import Resumable
from models.nearest import Similarity
from models.networks import Actor
from models.optimisers import Optimiser
from models.policy import ActingModule, Policy
from models.space import Space
from models.windows import StoredState, gather_windows, make_encoder


class ActorLearner(Resumable):
    """An actor π(s) and its optimiser; shapes as in `Batch`. A learner adds the loss."""

    config: ActorConfig
    kept = ("steps", "actor_metrics")

    def __init__(self, config: ActorConfig, space: Space, device: torch.device, seed: int) -> None:
        self.config = config
        self.space = space._replace(observation_dim=config.state.width) if config.state.encodes else space
        self.device = device
        self.policy = self.make_policy().to(device)
        self.check = BatchCheck(space, device)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.optimisers = {}
        self.optimise("actor", self.policy, config.actor_learning_rate)
        self.steps = 0
        self.actor_metrics: dict[str, Tensor] = {}

    def make_policy(self) -> nn.Module:
        """The network that the actor's optimiser trains; called once, with the seed set."""
        space, config = self.space, self.config
        sizes = space.observation_dim, space.action_dim, config.hidden_dim
        return Actor(*sizes, space.max_action, config.actor_last_bound, config.precision, self.make_state_encoder())

    def make_state_encoder(self) -> nn.Module:
        """The state encoder of one network."""
        state = self.config.state
        stored = StoredState(**state.model_dump(), largest_reward=self.space.largest_reward) if state.encodes else None
        return make_encoder(stored, self.space.action_dim)

    def optimise(self, name: str, network: nn.Module, learning_rate: float) -> None:
        """Give a network an optimiser of its own."""
        self.optimisers[name] = Optimiser(self.config.optimiser, network.parameters(), learning_rate)

    @property
    def acting(self) -> nn.Module:
        """The part that is validated, checkpointed and published."""
        return self.policy

    def recommender(self, embedding: Tensor, similarity: Similarity) -> Policy:
        """The policy over items (I, D), which shares the actor's weights."""
        return Policy(cast(ActingModule, self.policy), embedding, similarity)

    @property
    def look_ahead(self) -> tuple[int, float]:
        """Steps of a transition, and their discount."""
        return 1, 1.0

    def gather(self, data: BatchSource, starts: Tensor, out: Any = None) -> Batch:
        """The transitions at `starts` (B,); with a state encoder, all transitions in windows around these.

        States that were encoded before are gathered as they are.
        """
        n, discount = self.look_ahead
        if self.config.state.encodes and not data.encoded:
            return gather_windows(data, starts, self.config.state, n, discount, self.generator)
        if n == 1:
            return Batch(*data.gather(starts, out))
        return Batch(*data.gather_n_step(starts, n, discount, out))

    def act(self, observation: Tensor) -> Tensor:
        """π(s), (B, D), without noise or gradient."""
        with torch.no_grad():
            action: Tensor = self.policy(observation)
            return action

    def actor_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The actor's loss, 0-d, and further metrics."""
        raise NotImplementedError

    def likeness(self, actions: Tensor) -> Tensor:
        """The weighted diversity penalty of actions (B, D), 0-d."""
        if self.config.diversity == 0:
            return actions.new_zeros(())
        return self.config.diversity * likeness(actions, self.config.diversity_measure)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step of the actor.

        Raises:
            LearnerError: the batch holds a number that is not finite, or a reward outside its bounds.
        """
        self.check(batch)
        self.steps += 1
        self.step_actor(batch)
        return self.actor_metrics

    def step_actor(self, batch: Batch) -> None:
        """Take one clipped step of the actor and keep its metrics until the next."""
        self.actor_metrics = self.descend("actor", *self.actor_loss(batch))

    def descend(self, name: str, loss: Tensor, metrics: dict[str, Tensor], by: str | None = None) -> dict[str, Tensor]:
        """Take one clipped step of the optimiser `by`, default `name`; returns loss, gradient's norm and `metrics`, detached."""
        optimiser = self.optimisers[by or name]
        optimiser.zero_grad()
        loss.backward()
        norm = optimiser.step()
        clipped = (norm > optimiser.config.max_gradient_norm).float()
        found = {f"{name}_loss": loss, f"{name}_gradient_norm": norm, f"{name}_steps_clipped": clipped} | metrics
        return {key: value.detach() for key, value in found.items()}

    @contextmanager
    def same_draws(self) -> Iterator[None]:
        """Context in which random draws are the same each time, and none of training's are used up."""
        kept, self.generator = self.generator, torch.Generator(self.device).manual_seed(0)
        try:
            yield
        finally:
            self.generator = kept

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses and values of a batch, without a step; random draws are the same each time.

        Raises:
            LearnerError: an earlier training batch was bad.
        """
        self.check.settle()
        with self.same_draws(), torch.no_grad():
            return self.all_losses(batch)

    def all_losses(self, batch: Batch) -> dict[str, Tensor]:
        """All losses and values by name; a learner with further losses adds theirs."""
        loss, metrics = self.actor_loss(batch)
        return {"actor_loss": loss} | metrics

    def compare(self, batch: Batch) -> ActionComparison:
        """The policy's actions beside the logged ones, with the `values` of both; random draws are the same each time."""
        actions = self.act(batch.observation)
        with self.same_draws(), torch.no_grad():
            return ActionComparison(actions, batch.action, self.values(batch, actions), self.space.max_action)

    def values(self, batch: Batch, actions: Tensor) -> dict[str, Tensor]:
        """Values (B,) by name, of the logged actions and the policy's (B, D); none without critics."""
        return {}

    def networks(self) -> dict[str, nn.Module]:
        """Networks by name; a learner with further ones adds them."""
        return {"policy": self.policy}
