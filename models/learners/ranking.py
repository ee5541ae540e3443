"""TD3 whose actor learns to rank, by cross-entropy to the logged next item over the catalogue and by the critics' value.

Sequential recommenders are trained by this cross-entropy (Hidasi et al. 2016). SQN and SAC (Xin et al. 2020) add a critic; here
the critics are those of TD3 (Fujimoto et al. 2018), and an action is a direction among the item embeddings.
"""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.baselines.training import TrainingData
from models.batch import BatchSource, Sequences
from models.checks import BatchCheck
from models.kernels import kernel_items, transition_kernel
from models.learners.entry import Comparison, LearnerEntry
from models.learners.negatives import Negatives
from models.learners.ranking_config import RankingConfig
from models.learners.ranking_rates import optimisers_of
from models.learners.resumable import Resumable
from models.learners.smoothing import smoothed
from models.nearest import Similarity
from models.networks import frozen, move_towards
from models.optimisers import Optimiser, OptimiserName
from models.ranking_policy import Catalogue, RankingPolicy
from models.space import Space


class Ranking(Resumable):
    """An actor that ranks, two critics, target networks of both."""

    kept = ("steps", "seed")

    def __init__(
        self, config: RankingConfig, space: Space, data: TrainingData, device: torch.device | str, seed: int
    ) -> None:
        self.config = config
        self.device = torch.device(device)
        fitted = config.policy.transitions > 0
        items = kernel_items(data, config.kernel) if fitted else data.items[:0]
        kernel = transition_kernel(data, items, config.kernel) if fitted else data.embedding.new_zeros((0, 0))
        catalogue = Catalogue(data.embedding, data.counts, items, kernel, space.largest_reward)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.policy = RankingPolicy(config.policy, catalogue).to(device)
        self.acting = self.policy
        shared = {id(buffer): buffer for buffer in self.policy.buffers()}  # never written to, and of size M²
        self.target_policy = deepcopy(self.policy, shared).requires_grad_(False).eval()
        self.highest = float(data.rewards.abs().max())
        self.check = BatchCheck(space, self.device, kind=Sequences)
        self.negatives = Negatives(data.counts.to(device), config.negatives)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.optimiser = config.optimiser
        self.optimisers = optimisers_of(self.policy, config, config.optimiser)
        self.steps, self.seed = 0, seed << 32

    def recommender(self, embedding: Tensor, similarity: Similarity) -> RankingPolicy:
        """The policy itself, which holds its item vectors and ranks by its own scores."""
        return self.policy

    def gather(self, data: BatchSource, starts: Tensor, out: Any = None) -> Sequences:
        """The sequences that end with the actions of the transitions at `starts` (B,)."""
        return Sequences(*data.sequences(starts, self.config.policy.length))

    def actor_loss(self, batch: Sequences, states: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy to the logged next item, plus -λ Q1(s, π(s)) / mean |Q1|."""
        items, there = batch.items[:, 1:], batch.taken
        actions = self.policy.actions(states)
        known = self.policy.log_count > 0  # validation users also rated items without training events
        rated = there & known[items.clamp_min(0)]
        candidates, log_chance = self.negatives.with_targets(items[rated], self.generator)
        target = torch.searchsorted(candidates, items[rated])
        logits = self.policy.learnt_scores(actions[rated], candidates) - log_chance
        own = torch.arange(len(target), device=self.device)
        # Targets are always among the candidates.
        logits = logits.index_put((own, target), log_chance[target], accumulate=True)
        weights = torch.exp(self.config.reward_weight * batch.rewards[:, 1:][rated] / self.highest)
        ranking = (cross_entropy(logits, target, reduction="none") * weights).sum() / weights.sum().clamp_min(1e-12)
        if not self.config.has_critics:
            return ranking, {"ranking_loss": ranking}
        with frozen(self.policy.critics):
            q = self.policy.critics(states[there].detach(), actions[there])[0]
        value = -self.config.value_weight * q.mean() / q.detach().abs().mean().clamp_min(1e-6)
        total = ranking + value if self.config.value_weight > 0 else ranking
        return total, {"ranking_loss": ranking, "value_policy": q.mean()}

    def targets(self, batch: Sequences, noise: float) -> Tensor:
        """The targets y = r + γ (1 - d) min(Q1', Q2')(s', π'(s') + ε) of N logged actions, (N,), Fujimoto et al. 2018, eq. 10."""
        there, policy = batch.taken, self.target_policy
        terminal = torch.zeros_like(batch.rewards[:, 1:])
        terminal[:, -1] = batch.terminal
        with torch.no_grad():
            s_next = policy.states(batch.items, batch.rewards)[:, 1:][there]
            a_next = policy.actions(s_next)
            if noise > 0:
                a_next = smoothed(a_next, noise, self.config.noise_clip, self.generator)
            future = self.config.discount * (1 - terminal[there]) * policy.values(s_next, a_next)
        return batch.rewards[:, 1:][there] + future

    def critic_loss(self, batch: Sequences, states: Tensor, noise: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Σ_i mean (Q_i(s, a) - y)²."""
        there, y = batch.taken, self.targets(batch, noise)
        action = self.policy.unit[batch.items[:, 1:][there]]
        q = self.policy.critics(states[there].detach(), action)
        return (q - y).square().mean(1).sum(), {"value_logged": q.mean(), "value_target": y.mean()}

    def all_losses(self, batch: Sequences, noise: float) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The actor's loss and, if there are critics, theirs; and all metrics by name."""
        states = self.policy.states(*batch.before)
        actor_loss, found = self.actor_loss(batch, states)
        if not self.config.has_critics:
            return [actor_loss], {"actor_loss": actor_loss} | found
        critic_loss, values = self.critic_loss(batch, states, noise)
        return [actor_loss, critic_loss], {"actor_loss": actor_loss, "critic_loss": critic_loss} | found | values

    def update(self, batch: Sequences) -> dict[str, Tensor]:
        """Take one step of the actor, the item vectors and the critics; every `policy_delay`-th time of the target networks.

        Raises:
            LearnerError: the batch holds a number that is not finite, or a reward outside its bounds.
        """
        self.check(batch)
        self.policy.train()
        with torch.random.fork_rng():
            torch.manual_seed(self.seed + self.steps)  # dropout depends on the step alone, so a resumed run repeats it
            losses, metrics = self.all_losses(batch, self.config.target_noise)
        for optimiser in self.optimisers.values():
            optimiser.zero_grad()
        for loss in losses:
            loss.backward()
        norms = {f"{name.split('_')[0]}_gradient_norm": part.step() for name, part in self.optimisers.items()}
        self.steps += 1
        if self.config.has_critics and self.steps % self.config.policy_delay == 0:
            move_towards(self.target_policy, self.policy, self.config.target_rate)
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
            _, metrics = self.all_losses(batch, 0.0)
        self.generator.set_state(before)
        return metrics

    def compare(self, batch: Sequences) -> Comparison:
        """The policy's actions beside the logged ones, with the values of the losses if there are critics."""
        self.policy.eval()
        with torch.no_grad():
            there = batch.taken
            s = self.policy.states(*batch.before)[there]
            actions, logged = self.policy.actions(s), self.policy.unit[batch.items[:, 1:][there]]
            if not self.config.has_critics:
                return Comparison(actions, logged, {})
            of_logged, of_policy = (self.policy.critics(s, chosen) for chosen in (logged, actions))
        values = {"logged": of_logged.mean(0), "policy": of_policy[0], "target": self.targets(batch, 0.0)}
        return Comparison(actions, logged, values)

    def restart(self, optimiser: OptimiserName) -> None:
        """Continue with new optimisers of another kind, at the same learning rates."""
        self.optimiser = self.optimiser.of_kind(optimiser)
        self.optimisers = optimisers_of(self.policy, self.config, self.optimiser)

    def parts(self) -> dict[str, nn.Module | Optimiser]:
        """Networks and optimisers by name."""
        targets = {"target_policy": self.target_policy} if self.config.has_critics else {}
        return {"policy": self.policy, **targets, **self.optimisers}


ENTRY = LearnerEntry(
    RankingConfig,
    Ranking,
    summary="Scores every item by a weighted sum of item transitions, content similarity, a learnt action over a sequence state and "
    "popularity, and lets TD3's critics re-rank the best; all weights are tuned on validation users.",
    paper="This project, docs/methods.md; Fujimoto et al. 2018, Cho et al. 2014, Jean et al. 2015",
)
