"""Base of the learners from sequences: a `RankingPolicy`, its batches, its gradient step, its state."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from models.baselines.training import TrainingData
from models.batch import BatchSource, Sequences
from models.checks import BatchCheck
from models.fitted_terms import TrainingCatalogue, counts_of
from models.learners.config import SequenceConfig
from models.learners.entry import ActionComparison
from models.learners.negatives import Negatives
from models.learners.resumable import Resumable
from models.nearest import Similarity
from models.optimisers import Optimiser
from models.policy import Publishable
from models.ranking_policy import RankingPolicy
from models.space import Space


class Drawn(NamedTuple):
    """The N logged actions of a batch that are learnt from, and the C items that softmaxes are computed over.

    rated (B, L) bool, places of the actions; candidates (C,) int64, ascending; target (N,) int64, the place of each action's
    item among them; log_chance (C,), the log-probability that an item was drawn; None: all were.
    """

    rated: Tensor
    candidates: Tensor
    target: Tensor
    log_chance: Tensor | None


class SequenceLearner(Resumable):
    """A policy that scores every item, and its optimisers; shapes as in `Sequences`. A learner adds the losses."""

    config: SequenceConfig
    kept = ("steps", "seed")

    def __init__(
        self, config: SequenceConfig, space: Space, data: TrainingData, device: torch.device | str, seed: int
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        self.optimisers = {}
        catalogue = TrainingCatalogue(data.embedding, *counts_of(data), *self.kernels(data), space.largest_reward)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.policy = RankingPolicy(config.policy, catalogue).to(device)
            self._make_optimisers()
            self.make_heads(space, data)
        self.check = BatchCheck(space, self.device, kind=Sequences)
        self.negatives = Negatives(data.counts.to(device), config.negatives)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.steps, self.seed = 0, seed << 32

    def kernels(self, data: TrainingData) -> tuple[Tensor, Tensor, Tensor]:
        """The items with a row in the kernels, (M,), the transitions and the associations, (M, M) each; by default none."""
        none = data.embedding.new_zeros((0, 0))
        return data.items[:0], none, none

    def make_heads(self, space: Space, data: TrainingData) -> None:
        """Make further networks and their optimisers; called once, with the seed set."""

    def _make_optimisers(self) -> None:
        """Make optimisers of the factors of the learnt terms, of the actor with its state, and of the items' own vectors."""
        groups: dict[str, list[nn.Parameter]] = {"mixture": [], "actor": [], "item": [], "critic": []}
        of_group = {"popularity": "mixture", "action_scale": "mixture", "free": "item", "critics": "critic"}
        for name, parameter in self.policy.named_parameters():
            groups[of_group.get(name.partition(".")[0], "actor")].append(parameter)
        config = self.config
        self.optimisers["mixture"] = Optimiser(config.optimiser, groups["mixture"], config.mixture_rate)
        self.optimisers["actor"] = Optimiser(config.optimiser, groups["actor"], config.learning_rate)
        if config.policy.own_vectors:  # without them the items' vectors have no gradient
            self.optimisers["item"] = Optimiser(config.item_optimiser, groups["item"], config.learning_rate)

    @property
    def acting(self) -> nn.Module:
        """The part that is validated, checkpointed and published."""
        return self.policy

    def recommender(self, embedding: Tensor, similarity: Similarity) -> Publishable:
        """The policy itself, which holds its item vectors and ranks by its own scores."""
        return self.policy

    def gather(self, data: BatchSource, starts: Tensor, out: Any = None) -> Sequences:
        """The sequences that end with the actions of the transitions at `starts` (B,), without columns of padding alone."""
        items, rewards, terminal = data.sequences(starts, self.config.policy.length)
        first = int((items >= 0).any(0).int().argmax())
        return Sequences(items[:, first:], rewards[:, first:], terminal)

    def draw(self, batch: Sequences) -> Drawn:
        """Draw the items of this batch's softmaxes; the users of a validation batch also rated items without training events."""
        items, known = batch.items[:, 1:], self.policy.log_count > 0
        rated = batch.taken & known[items.clamp_min(0)]
        candidates, log_chance = self.negatives.with_targets(items[rated], self.generator)
        return Drawn(rated, candidates, torch.searchsorted(candidates, items[rated]), log_chance)

    def all_losses(self, batch: Sequences) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The losses to descend, and all metrics by name, `actor_loss` among them."""
        raise NotImplementedError

    def move_targets(self) -> None:
        """Move the target networks, if there are any; called after every step."""

    def update(self, batch: Sequences) -> dict[str, Tensor]:
        """Take one step of all networks.

        Raises:
            LearnerError: the batch holds a number that is not finite, or a reward outside its bounds.
        """
        self.check(batch)
        self.policy.train()
        with torch.random.fork_rng():
            torch.manual_seed(self.seed + self.steps)  # dropout depends on the step alone, so a resumed run repeats it
            losses, metrics = self.all_losses(batch)
        for optimiser in self.optimisers.values():
            optimiser.zero_grad()
        for loss in losses:
            loss.backward()
        norms = {f"{name}_gradient_norm": each.step() for name, each in self.optimisers.items()}
        self.steps += 1
        self.move_targets()
        return {name: value.detach() for name, value in (metrics | norms).items()}

    def losses(self, batch: Sequences) -> dict[str, Tensor]:
        """The losses and values of a batch, without a step.

        Raises:
            LearnerError: an earlier training batch was bad.
        """
        self.check.settle()
        self.policy.eval()
        before = self.generator.get_state()
        with torch.no_grad():
            _, metrics = self.all_losses(batch)
        self.generator.set_state(before)
        return metrics

    def compare(self, batch: Sequences) -> ActionComparison:
        """The policy's actions beside the logged ones."""
        self.policy.eval()
        with torch.no_grad():
            states = self.policy.states(*batch.before)[batch.taken]
            return ActionComparison(self.policy.actions(states), self.policy.unit[batch.items[:, 1:][batch.taken]], {})

    def networks(self) -> dict[str, nn.Module]:
        """Networks by name; a learner with further ones adds them."""
        return {"policy": self.policy}
