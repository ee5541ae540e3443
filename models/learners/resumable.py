"""Saving and loading a learner's state, so that an interrupted training continues with the same numbers."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from models.checks import BatchCheck
from models.errors import LearnerError
from models.optimisers import Optimiser, OptimiserName


class Resumable:
    """Base of all learners: `state_dict` and `load_state_dict` of their networks, optimisers, generator and `kept` attributes.

    Optimisers are by name; that of the actor is `actor`.
    """

    device: torch.device
    check: BatchCheck
    generator: torch.Generator
    optimisers: dict[str, Optimiser]
    kept: ClassVar[tuple[str, ...]] = ("steps",)

    def networks(self) -> dict[str, nn.Module]:
        """Networks by name; a target network is `target_` and the name of the network that it follows."""
        raise NotImplementedError

    def restart(self, optimiser: OptimiserName) -> None:
        """Continue with new optimisers of another kind: same learning rates, schedule from its start.

        Raises:
            LearnerError: there is no such optimiser.
        """
        self.optimisers = {name: each.of_kind(optimiser) for name, each in self.optimisers.items()}

    def copy_to_targets(self) -> None:
        """Make each target network equal to the network that it follows."""
        networks = self.networks()
        for name, network in networks.items():
            if name.startswith("target_"):
                network.load_state_dict(networks[name.removeprefix("target_")].state_dict())

    def _parts(self) -> dict[str, nn.Module | Optimiser]:
        return {**self.networks(), **{f"{name}_optimiser": each for name, each in self.optimisers.items()}}

    def state_dict(self) -> dict[str, Any]:
        """All that a later `update` depends on, as tensors and plain values.

        Raises:
            LearnerError: an earlier training batch was bad.
        """
        self.check.settle()
        return (
            {name: part.state_dict() for name, part in self._parts().items()}
            | {name: getattr(self, name) for name in self.kept}
            | {
                "learner": type(self).__name__,
                "optimiser": self.optimisers["actor"].config.name,
                "generator": self.generator.get_state(),
            }
        )

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`.

        Raises:
            LearnerError: the state is another learner's, or of other sizes.
        """
        own = type(self).__name__
        if state.get("learner") != own:
            raise LearnerError(
                f"state: expected one of {own}; found one of {state.get('learner')!r}. Resume that learner."
            )
        try:
            self.restart(state["optimiser"])
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.generator.set_state(state["generator"].cpu())
            for name in self.kept:
                setattr(self, name, self._on_device(state[name]))
        except (KeyError, RuntimeError, ValueError) as error:
            raise LearnerError(
                f"state: expected that of {own} with these sizes; found: {error}. Train again from the start, or with "
                "the parameters it was made with."
            ) from error
        self.check.forget()

    def _on_device(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._on_device(part) for name, part in value.items()}
        return value.to(self.device) if isinstance(value, Tensor) else value
