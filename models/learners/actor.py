"""What every learner with an actor shares: its network, its step, its checks, its state."""

from typing import Any

import torch
from torch import Tensor, nn

from models.batch import Batch
from models.checks import BatchCheck
from models.errors import LearnerError
from models.learners.config import ActorConfig
from models.learners.diversity import likeness
from models.networks import Actor
from models.optimisers import Optimiser, OptimiserName, make_optimiser
from models.space import Space


class ActorLearner:
    """An actor π(s) and its optimiser; shapes as in `Batch`. A learner adds the loss and the rhythm."""

    config: ActorConfig

    def __init__(self, config: ActorConfig, space: Space, device: torch.device, seed: int) -> None:
        self.config = config
        self.space = space
        self.device = device
        self.policy = Actor(
            space.observation_dim,
            space.action_dim,
            config.hidden_dim,
            space.max_action,
            config.actor_last_bound,
            config.precision,
        ).to(device)
        self.check = BatchCheck(space, device)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.optimiser = config.optimiser
        self.actor_optimiser = self._optimiser_of(self.policy, config.actor_learning_rate)
        self.steps = 0
        self.actor_metrics: dict[str, Tensor] = {}

    def _optimiser_of(self, module: nn.Module, learning_rate: float) -> Optimiser:
        return make_optimiser(self.optimiser, module.parameters(), learning_rate)

    @property
    def acting(self) -> nn.Module:
        """What is judged, kept and published."""
        return self.policy

    def act(self, observation: Tensor) -> Tensor:
        """π(s), (B, D), without noise or gradient."""
        with torch.no_grad():
            action: Tensor = self.policy(observation)
            return action

    def actor_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The method's loss of the actor, 0-d, and what else is worth knowing."""
        raise NotImplementedError

    def likeness(self, actions: Tensor) -> Tensor:
        """The weighted diversity penalty of actions (B, D), 0-d."""
        if self.config.diversity == 0:
            return actions.new_zeros(())
        return self.config.diversity * likeness(actions, self.config.diversity_measure)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the actor.

        Raises:
            LearnerError: the batch holds a number that is not finite, or a reward beyond its bounds.
        """
        self.check(batch)
        self.steps += 1
        self.step_actor(batch)
        return self.actor_metrics

    def step_actor(self, batch: Batch) -> None:
        """One clipped step of the actor; its metrics are kept until the next."""
        loss, metrics = self.actor_loss(batch)
        self.actor_optimiser.zero_grad()
        loss.backward()
        norm = self.actor_optimiser.step()
        clipped = (norm > self.actor_optimiser.max_gradient_norm).float()
        found = {"actor_loss": loss, "actor_gradient_norm": norm, "actor_steps_clipped": clipped} | metrics
        self.actor_metrics = {name: value.detach() for name, value in found.items()}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses and values of a batch, nothing learnt.

        Raises:
            LearnerError: a batch learnt from before was bad.
        """
        self.check.settle()
        with torch.no_grad():
            loss, metrics = self.actor_loss(batch)
        return {"actor_loss": loss} | metrics

    def restart(self, optimiser: OptimiserName) -> None:
        """Go on with fresh optimisers of another kind: same learning rates, schedule from its beginning.

        Raises:
            LearnerError: there is no such optimiser.
        """
        self.optimiser = self.optimiser.of_kind(optimiser)
        self.actor_optimiser = self._optimiser_of(self.policy, self.config.actor_learning_rate)

    def parts(self) -> dict[str, nn.Module | Optimiser]:
        """What has a state of its own, by name."""
        return {"policy": self.policy, "actor_optimiser": self.actor_optimiser}

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimisers and their kind, the noise, the step count.

        Raises:
            LearnerError: a batch learnt from before was bad.
        """
        self.check.settle()
        return {name: part.state_dict() for name, part in self.parts().items()} | {
            "learner": type(self).__name__,
            "optimiser": self.optimiser.name,
            "generator": self.generator.get_state(),
            "steps": self.steps,
            "actor_metrics": self.actor_metrics,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`.

        Raises:
            LearnerError: it is another learner's, or of other sizes.
        """
        if state.get("learner") != type(self).__name__:
            raise LearnerError(f"state: expected one of {type(self).__name__}; found one of {state.get('learner')!r}.")
        try:
            self.restart(state["optimiser"])
            for name, part in self.parts().items():
                part.load_state_dict(state[name])
            self.generator.set_state(state["generator"].cpu())
            self.steps = state["steps"]
            self.actor_metrics = {name: value.to(self.device) for name, value in state["actor_metrics"].items()}
        except (KeyError, RuntimeError, ValueError) as error:
            raise LearnerError(
                f"state: expected that of {type(self).__name__} with these sizes; found: {error}. Train anew, or with the "
                "parameters it was made with."
            ) from error
        self.check.forget()
