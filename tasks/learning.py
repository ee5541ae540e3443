"""A learner on a dataset: the learner itself, its batches, and the policy that it trains."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from models.baselines.training import TrainingData
from models.bfloat16 import bfloat16_is_fast
from models.learners.config import ActorConfig, LearnerConfig, SequenceConfig
from models.learners.entry import Learner
from models.learners.registry import LEARNERS, make_learner
from models.nearest import Similarity
from models.policy import Publishable
from models.space import Space
from storage.dataset.reader import TransitionDataset

logger = logging.getLogger("marquee.train")


@dataclass(frozen=True)
class Learning:
    """One learner on one dataset.

    Attributes:
        learner: the learner that is trained.
        batch_size: starts per update.
        starts: (T,) int64, the training transitions that batches are drawn from.
        lengths: (T,) int64, number of events of their sequences, if batches are to be of like lengths.
        gather: makes a batch of any number of starts.
        gather_in_turn: makes a batch of `batch_size` starts in buffers that are overwritten two batches later.
        policy: the learner's policy, with its present weights.
        returns: least and greatest discounted return of an episode.
    """

    learner: Learner
    batch_size: int
    starts: Tensor
    lengths: Tensor | None
    gather: Callable[[Tensor], Any]
    gather_in_turn: Callable[[Tensor], Any]
    policy: Publishable
    returns: tuple[float, float]


def make_learning(
    config: LearnerConfig, data: TransitionDataset, batch_size: int, similarity: Similarity, device: str, seed: int
) -> Learning:
    """Make the learner of `config` on a dataset.

    Args:
        config: the learner's hyper-parameters.
        data: on `device`.
        batch_size: transitions per update; learners from sequences have their own size.
        similarity: how the actions of learners from transitions rank items.
        device: of torch.
        seed: of the networks and the noise.

    Raises:
        LearnerError: the dataset's embeddings or events are not what the learner needs.
    """
    space = Space.of(data.embedding, data.frame, data.reward_bounds)
    learner: Learner
    starts, lengths = data.starts("train"), None
    if isinstance(config, SequenceConfig):
        events = TrainingData(*data.training_events(), data.embedding)
        learner = LEARNERS[config.name].learner(config, space, events, device, seed)
        batch_size = config.sequences
        if config.draw == "windows":
            starts = data.window_starts("train", config.policy.length)
            number = starts + data.frame + 1 - data.offset[data.users_of(starts)]
            lengths = number.clamp_max(config.policy.length + 1)
    else:
        learner = make_learner(config, space, device, seed)
        warn_of_slow_products(config, device)
    buffers = data.ring(batch_size)

    def gather(starts: Tensor) -> Any:
        return learner.gather(data, starts)

    def gather_in_turn(starts: Tensor) -> Any:
        return learner.gather(data, starts, next(buffers))

    return Learning(
        learner,
        batch_size,
        starts,
        lengths,
        gather,
        gather if isinstance(config, SequenceConfig) else gather_in_turn,
        learner.recommender(data.embedding, similarity),
        space.returns(getattr(config, "discount", 0.0)),
    )


def warn_of_slow_products(config: LearnerConfig, device: str) -> None:
    """Log a warning if the learner multiplies in bfloat16 where that is slow."""
    if isinstance(config, ActorConfig) and config.precision == "bfloat16" and not bfloat16_is_fast(device):
        logger.warning(
            "%s: bfloat16 is slower than float32 here, by far where it is emulated (no AMX, no such GPU); it learns as well. "
            "Set precision to float32.",
            config.name,
        )
