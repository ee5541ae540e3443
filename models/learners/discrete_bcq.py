"""Batch-constrained Q-learning over items from sequences (discrete BCQ; Fujimoto, Conti, Ghavamzadeh & Pineau 2019)."""

from copy import deepcopy
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, smooth_l1_loss

from models.baselines.training import TrainingData
from models.batch import Sequences
from models.constrained_ranking import ConstrainedRanking, ItemValues
from models.learners.config import NStep, SequenceConfig
from models.learners.entry import ActionComparison, LearnerEntry
from models.learners.n_step import n_step_targets
from models.learners.negatives import corrected
from models.learners.ranking_config import LearntTermsConfig
from models.learners.sequence_learner import Drawn, SequenceLearner
from models.nearest import Similarity
from models.networks import move_towards
from models.optimisers import Optimiser
from models.space import Space


class DiscreteBCQConfig(SequenceConfig):
    """Hyper-parameters; sources in brackets, of Fujimoto et al. 2019 (arXiv:1910.01708)."""

    name: Literal["discrete_bcq"] = "discrete_bcq"
    policy: LearntTermsConfig = Field(LearntTermsConfig(), description="State and width of the behaviour policy.")
    values_learning_rate: float = Field(5e-4, gt=0, le=0.1, description="Learning rate of Q's own layers and vectors.")
    threshold: float = Field(
        0.3, ge=0, le=1, description="τ: items less probable than τ times the most probable one are not allowed [§4]."
    )
    discount: float = Field(0.9, ge=0, lt=1, description="γ.")
    n_step: NStep = 1
    target_rate: float = Field(0.005, gt=0, le=1, description="Rate of the target network.")


class DiscreteBCQ(SequenceLearner):
    """A behaviour policy G(i | s), Q(s, i) on the same state, a target network of both."""

    config: DiscreteBCQConfig

    def make_heads(self, space: Space, data: TrainingData) -> None:
        """Make Q, the constrained policy, and its target network."""
        config, (items, dim) = self.config, data.embedding.shape
        values = ItemValues(items, config.policy.width, dim).to(self.device)
        self.optimisers["values"] = Optimiser(config.item_optimiser, values.parameters(), config.values_learning_rate)
        self.constrained = ConstrainedRanking(self.policy, values, config.threshold)
        shared = {id(buffer): buffer for buffer in self.policy.buffers()}  # never written to
        self.target = deepcopy(self.constrained, shared).requires_grad_(False).eval()

    @property
    def acting(self) -> nn.Module:
        """The behaviour policy and Q."""
        return self.constrained

    def recommender(self, embedding: Tensor, similarity: Similarity) -> ConstrainedRanking:
        """The constrained policy itself."""
        return self.constrained

    def targets(self, batch: Sequences, drawn: Drawn) -> Tensor:
        """The targets y = r + γ (1 - d) Q'(s', argmax Q(s', i) over allowed i), (N,): double Q-learning, as in the paper.

        With `n_step` > 1 that of n steps.

        The argmax is over the drawn items, all of them where the catalogue is not larger.
        """
        there, value = batch.taken, torch.zeros_like(batch.rewards[:, 1:])
        was_training = self.policy.training
        self.policy.eval()  # dropout would choose other items
        with torch.no_grad():
            s_next = self.policy.states(batch.items, batch.rewards)[:, 1:][there]
            best = self.constrained.best(s_next, drawn.candidates)
            s_next = self.target.imitation.states(batch.items, batch.rewards)[:, 1:][there]
            value[there] = self.target.values.of(s_next, best)
        self.policy.train(was_training)
        return n_step_targets(batch, value, self.config.discount, self.config.n_step)[drawn.rated]

    def all_losses(self, batch: Sequences) -> tuple[list[Tensor], dict[str, Tensor]]:
        """-mean log G(a | s) + mean Huber(Q(s, a) - y); both losses train the state."""
        drawn = self.draw(batch)
        states = self.policy.states(*batch.before)[drawn.rated]
        count = max(len(states), 1)
        logits = corrected(self.constrained.logits(states, drawn.candidates), drawn.target, drawn.log_chance)
        imitation_loss = cross_entropy(logits, drawn.target, reduction="sum") / count
        y = self.targets(batch, drawn)
        q = self.constrained.values.of(states, batch.items[:, 1:][drawn.rated])
        values_loss = smooth_l1_loss(q, y, reduction="sum") / count
        return [imitation_loss + values_loss], {
            "actor_loss": imitation_loss,
            "critic_loss": values_loss,
            "value_logged": q.sum() / count,
            "value_target": y.sum() / count,
        }

    def compare(self, batch: Sequences) -> ActionComparison:
        """The embeddings of the policy's items beside the logged ones, and the values of both."""
        self.policy.eval()
        before = self.generator.get_state()
        drawn = self.draw(batch)
        self.generator.set_state(before)
        with torch.no_grad():
            states = self.policy.states(*batch.before)[drawn.rated]
            chosen = {
                "policy": self.constrained.best(states, drawn.candidates),
                "logged": batch.items[:, 1:][drawn.rated],
            }
            values = {name: self.constrained.values.of(states, items) for name, items in chosen.items()}
            values["target"] = self.targets(batch, drawn)
        return ActionComparison(self.policy.unit[chosen["policy"]], self.policy.unit[chosen["logged"]], values)

    def copy_to_targets(self) -> None:
        """Make the target network equal to the constrained policy."""
        self.target.load_state_dict(self.constrained.state_dict())

    def move_targets(self) -> None:
        """Move the target network at every step."""
        move_towards(self.target, self.constrained, self.config.target_rate)

    def networks(self) -> dict[str, nn.Module]:
        """As the base's, with Q and the target network."""
        return super().networks() | {"values": self.constrained.values, "target": self.target}


ENTRY = LearnerEntry(
    DiscreteBCQConfig,
    DiscreteBCQ,
    summary="Ranks the items that are not much less probable in the log than the most probable one by a learnt return.",
    paper="Fujimoto, Conti, Ghavamzadeh & Pineau 2019, arXiv:1910.01708",
)
