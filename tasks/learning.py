"""A learner on a dataset: the learner itself, its batches, and the policy that it trains."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from models.baselines.training import TrainingData
from models.batch import BatchSource
from models.bfloat16 import bfloat16_is_fast
from models.errors import LearnerError
from models.learners.config import ActorConfig, LearnerConfig, SequenceConfig
from models.learners.entry import Learner
from models.learners.registry import LEARNERS, make_learner
from models.nearest import Similarity
from models.policy import Publishable
from models.space import Space
from models.windows import StateConfig, set_encoders
from serving.stored_policies import stored_encoder
from storage.artifacts.store import ArtifactRef
from storage.dataset.encoded import EncodedDataset
from storage.dataset.reader import TransitionDataset
from tasks.caching import artifact_store

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
    config: LearnerConfig,
    data: TransitionDataset,
    batch_size: int,
    similarity: Similarity,
    device: str,
    seed: int,
    states: Path | None = None,
) -> Learning:
    """Make the learner of `config` on a dataset.

    Args:
        config: the learner's hyper-parameters.
        data: on `device`.
        batch_size: transitions per update; learners from sequences have their own size.
        similarity: how the actions of learners from transitions rank items.
        device: of torch.
        seed: of the networks and the noise.
        states: the folder of encoded states to train on; `config` is then one that `observing` returns.

    Raises:
        LearnerError: the dataset's embeddings or events are not what the learner needs.
        DatasetError, PolicyError: the encoded states are not valid, or not of this dataset.
    """
    source: BatchSource = data if states is None else EncodedDataset(states / "transitions.h5", data)
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
        assert isinstance(config, ActorConfig)  # noqa: S101
        learner = make_learner(config, space, device, seed)
        if states is not None:
            set_encoders(learner.networks().values(), stored_encoder(states).state_dict())
        elif config.state.encodes:
            batch_size = max(1, batch_size // config.state.transitions(data.frame))
        warn_of_slow_products(config, device)
    buffers = data.ring(batch_size)

    def gather(starts: Tensor) -> Any:
        return learner.gather(source, starts)

    def gather_in_turn(starts: Tensor) -> Any:
        return learner.gather(source, starts, next(buffers))

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


def folder_of(ref: ArtifactRef | None) -> Path | None:
    """The folder of an artifact of this work directory, if there is one."""
    return None if ref is None else artifact_store().open(ref)


def observing(config: LearnerConfig, states: Path | None) -> LearnerConfig:
    """The hyper-parameters of a learner that trains on encoded states: its networks get the encoder that made them.

    Args:
        config: of the learner.
        states: the folder of the encoded states; none: `config` stays as it is.

    Raises:
        LearnerError: the learner learns from sequences, or asks for another encoder.
    """
    if states is None:
        return config
    known = StateConfig.model_validate(stored_encoder(states).config.model_dump(exclude={"largest_reward"}))
    if not isinstance(config, ActorConfig) or (config.state.encodes and config.state != known):
        found = f"state {config.state.kind}" if isinstance(config, ActorConfig) else "a learner from sequences"
        raise LearnerError(
            f"{config.name}: expected a learner from transitions that observes frames, or the encoder of the states; found {found}. "
            "Choose another learner, or train without --states."
        )
    return config.model_copy(update={"state": known})


def warn_of_slow_products(config: LearnerConfig, device: str) -> None:
    """Log a warning if the learner multiplies in bfloat16 where that is slow."""
    if isinstance(config, ActorConfig) and config.precision == "bfloat16" and not bfloat16_is_fast(device):
        logger.warning(
            "%s: bfloat16 is slower than float32 here, by far where it is emulated (no AMX, no such GPU); it learns as well. "
            "Set precision to float32.",
            config.name,
        )
