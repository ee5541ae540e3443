"""What training one learner needs besides the loop: the learner, its batches, what judges it, the policy that comes out."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from evaluation.baselines import training_data
from models.batch import Batch, Sequences
from models.bfloat16 import bfloat16_is_fast
from models.histories import Histories, Scorer
from models.learners import LearnerConfig, make_learner
from models.learners.actor import ActorLearner
from models.learners.actor_critic import ActorCritic
from models.learners.ranking import Ranking
from models.learners.ranking_config import RankingConfig
from models.nearest import Similarity
from models.policy import Policy
from models.space import Space
from storage.dataset.reader import TransitionDataset

logger = logging.getLogger("marquee.train")


class Publishable(Scorer, Protocol):
    """A policy that can be written down: see `tasks.policies.load_policy`."""

    def act(self, histories: Histories) -> Tensor:
        """π(s): (B, D)."""
        ...

    def config(self) -> dict[str, Any]:
        """What besides the tensors makes it, as JSON."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name."""
        ...


@dataclass(frozen=True)
class Learning:
    """One learner on one dataset.

    Attributes:
        learner: that is trained.
        batch_size: starts in one update.
        gather: makes a batch of starts, of any number.
        gather_in_turn: the same of `batch_size` starts, in arrays that may be overwritten two batches later.
        policy: the learner's policy, as it is now.
        returns: least and greatest discounted return.
    """

    learner: ActorLearner | Ranking
    batch_size: int
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
) -> Learning:
    """The learner of `config` on a dataset; `similarity` is how the actions of the article's ladder rank items.

    Raises:
        LearnerError: the dataset's embeddings or events are not what the learner needs.
    """
    space = Space.of(data.embedding, data.frame)
    returns = space.returns(getattr(config, "discount", 0.0))
    if isinstance(config, RankingConfig):
        ranking = Ranking(config, training_data(data, config.kernel.max_items), device, seed)

        def sequences(starts: Tensor) -> Sequences:
            return Sequences(*data.sequences(starts, config.policy.length))

        return Learning(ranking, config.sequences, sequences, sequences, ranking.policy, returns)
    if config.precision == "bfloat16" and not bfloat16_is_fast(device):
        logger.warning(
            "%s: bfloat16 multiplies slower than float32 here, by far where it is imitated (no AMX, no such GPU); "
            "it learns as well. Set precision to float32.",
            config.name,
        )
    learner = make_learner(config, space, device, seed)
    buffers = data.ring(batch_size)

    def transitions(starts: Tensor) -> Batch:
        return Batch(*data.gather(starts))

    def transitions_in_turn(starts: Tensor) -> Batch:
        return Batch(*data.gather(starts, next(buffers)))

    asked = (learner.critics, learner.config.critic_candidates) if isinstance(learner, ActorCritic) else (None, 0)
    policy = Policy(learner.policy, data.embedding, similarity, *asked)
    return Learning(learner, batch_size, transitions, transitions_in_turn, policy, returns)
