"""What the registry holds of a learner, and what every learner can do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from torch import Tensor, nn

from models.batch import BatchSource
from models.learners.config import LearnerConfig, SequenceConfig
from models.nearest import Similarity
from models.optimisers import OptimiserName
from models.policy import Publishable

LearnsFrom = Literal["transitions", "sequences"]


class ActionComparison(NamedTuple):
    """A policy beside the log in N states.

    actions, logged (N, D); values by name, (N,) each, empty without critics; max_action: the bound of a coordinate, if any.
    """

    actions: Tensor
    logged: Tensor
    values: dict[str, Tensor]
    max_action: float | None = None


class Learner(Protocol):
    """Learns a policy from batches of logged data; metrics stay on the device until they are read.

    A batch is a `models.batch.Batch` for learners from transitions, a `models.batch.Sequences` for learners from sequences.
    """

    @property
    def acting(self) -> nn.Module:
        """The part that acts: it is validated, checkpointed and published."""

    def recommender(self, embedding: Tensor, similarity: Similarity) -> Publishable:
        """The policy over items (I, D), which shares the learner's weights; `similarity` ranks items by nearness to an action."""

    def gather(self, data: BatchSource, starts: Tensor, out: Any = None) -> Any:
        """Make a batch of the transitions at `starts` (B,), in the buffers `out` if given and useful."""

    def update(self, batch: Any) -> dict[str, Tensor]:
        """Take one gradient step; returns 0-d tensors by name."""

    def losses(self, batch: Any) -> dict[str, Tensor]:
        """The same losses without a step, for validation."""

    def compare(self, batch: Any) -> ActionComparison:
        """The policy's actions beside the logged ones, for diagnostics."""

    def copy_to_targets(self) -> None:
        """Make the target networks equal to the networks that they follow."""

    def restart(self, optimiser: OptimiserName) -> None:
        """Continue with new optimisers of that name and the same learning rates."""

    def state_dict(self) -> dict[str, Any]:
        """All that a later `update` depends on, as tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state_dict()`."""


@dataclass(frozen=True)
class LearnerEntry:
    """A learner as the registry, the parameters, the report and the benchmarks see it.

    Attributes:
        config: its hyper-parameters, an `ActorConfig` or a `SequenceConfig`; the default of `name` is the learner's name.
        learner: makes it; from transitions called with (config, space, device, seed), from sequences with
            (config, space, training data, device, seed).
        summary: how it works, in one sentence, for the report and the parameters' form.
        paper: where it is from.
        article: the hyper-parameters of the preset `article`; none where the article has no such method.
        baseline: whether it is a baseline that is trained, rather than a policy of this project.
    """

    config: type[LearnerConfig]
    learner: Callable[..., Learner]
    summary: str
    paper: str
    article: Mapping[str, Any] = field(default_factory=dict)
    baseline: bool = False

    @property
    def name(self) -> str:
        """The learner's name."""
        return str(self.config.model_fields["name"].default)

    @property
    def learns_from(self) -> LearnsFrom:
        """What a batch holds, and so which trainer settings apply."""
        return "sequences" if issubclass(self.config, SequenceConfig) else "transitions"
