"""TD3 whose actor learns to rank: cross-entropy to the logged next item over the catalogue, and the critic's value.

The softmax over the catalogue is what sequential recommenders are trained by (Hidasi et al. 2016); joined with a critic it
is SQN/SAC's idea (Xin et al. 2020) in TD3 (Fujimoto et al. 2018), whose action is here a direction among the item embeddings.
"""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.baselines.training import TrainingData
from models.batch import Sequences
from models.checks import BatchCheck
from models.errors import LearnerError
from models.kernels import kernel_items, transition_kernel
from models.learners.negatives import Negatives
from models.learners.ranking_config import RankingConfig
from models.learners.ranking_rates import optimisers_of
from models.learners.smoothing import smoothed
from models.networks import frozen, move_towards
from models.optimisers import Optimiser, OptimiserName
from models.ranking_policy import Catalogue, RankingPolicy
from models.space import Space


class Ranking:
    """An actor that ranks, twin critics, targets of both."""

    def __init__(self, config: RankingConfig, data: TrainingData, device: torch.device | str, seed: int) -> None:
        self.config = config
        self.device = torch.device(device)
        fitted = config.policy.transitions > 0
        items = kernel_items(data, config.kernel) if fitted else data.items[:0]
        kernel = transition_kernel(data, items, config.kernel) if fitted else data.embedding.new_zeros((0, 0))
        catalogue = Catalogue(data.embedding, data.counts, items, kernel)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.policy = RankingPolicy(config.policy, catalogue).to(device)
        self.acting = self.policy
        shared = {id(buffer): buffer for buffer in self.policy.buffers()}  # never written to, and M² large
        self.target_policy = deepcopy(self.policy, shared).requires_grad_(False).eval()
        self.highest = float(data.rewards.abs().max())
        self.check = BatchCheck(Space.of(data.embedding, config.policy.frame), self.device, kind=Sequences)
        self.negatives = Negatives(data.counts.to(device), config.negatives)
        self.generator = torch.Generator(device).manual_seed(seed)
        self.optimiser = config.optimiser
        self.optimisers = optimisers_of(self.policy, config, config.optimiser)
        self.steps, self.seed = 0, seed << 32

    def actor_loss(self, batch: Sequences, states: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy to the logged next item, and -λ Q1(s, π(s)) / mean |Q1|."""
        items, there = batch.items[:, 1:], batch.taken
        actions = self.policy.actions(states)
        known = self.policy.log_count > 0  # held-out users also had items that training never saw
        rated = there & known[items.clamp_min(0)]
        candidates, log_chance = self.negatives.with_targets(items[rated], self.generator)
        target = torch.searchsorted(candidates, items[rated])
        logits = self.policy.learnt_scores(actions[rated], candidates) - log_chance
        own = torch.arange(len(target), device=self.device)
        logits = logits.index_put((own, target), log_chance[target], accumulate=True)  # it was sure to be there
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
        """The target y = r + γ (1 - d) min(Q1', Q2')(s', π'(s') + ε) of N actions taken, (N,), Fujimoto et al. 2018, eq. 10."""
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
        """The actor's loss and, where there are critics, theirs; with what else is worth knowing."""
        states = self.policy.states(*batch.before)
        actor_loss, found = self.actor_loss(batch, states)
        if not self.config.has_critics:
            return [actor_loss], {"actor_loss": actor_loss} | found
        critic_loss, values = self.critic_loss(batch, states, noise)
        return [actor_loss, critic_loss], {"actor_loss": actor_loss, "critic_loss": critic_loss} | found | values

    def update(self, batch: Sequences) -> dict[str, Tensor]:
        """One step of the actor, its items and the critics; every `policy_delay`-th of the targets.

        Raises:
            LearnerError: the batch holds a number that is not finite, or a reward beyond its bounds.
        """
        self.check(batch)
        self.policy.train()
        with torch.random.fork_rng():
            torch.manual_seed(self.seed + self.steps)  # dropout's draws follow from the step, so a resumed run's do too
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
        """The losses and values of a batch, nothing learnt.

        Raises:
            LearnerError: a batch learnt from before was bad.
        """
        self.check.settle()
        self.policy.eval()
        before = self.generator.get_state()
        with torch.no_grad():
            _, metrics = self.all_losses(batch, 0.0)
        self.generator.set_state(before)
        return metrics

    def compare(self, batch: Sequences) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """In each state, the policy's action and the logged one, (N, D), and values, (N,), that are those of the losses, if any."""
        self.policy.eval()
        with torch.no_grad():
            there = batch.taken
            s = self.policy.states(*batch.before)[there]
            actions, logged = self.policy.actions(s), self.policy.unit[batch.items[:, 1:][there]]
            if not self.config.has_critics:
                return actions, logged, {}
            of_logged, of_policy = (self.policy.critics(s, chosen) for chosen in (logged, actions))
        values = {"logged": of_logged.mean(0), "policy": of_policy[0], "target": self.targets(batch, 0.0)}
        return actions, logged, values

    def restart(self, optimiser: OptimiserName) -> None:
        """Go on with fresh optimisers of another kind, at the same learning rates.

        Raises:
            LearnerError: there is no such optimiser.
        """
        self.optimiser = self.optimiser.of_kind(optimiser)
        self.optimisers = optimisers_of(self.policy, self.config, self.optimiser)

    def parts(self) -> dict[str, nn.Module | Optimiser]:
        """What has a state of its own, by name."""
        targets = {"target_policy": self.target_policy} if self.config.has_critics else {}
        return {"policy": self.policy, **targets, **self.optimisers}

    def state_dict(self) -> dict[str, Any]:
        """Networks, targets, optimisers and their kind, the noise, the step count; the kernel is fit again.

        Raises:
            LearnerError: a batch learnt from before was bad.
        """
        self.check.settle()
        return {name: part.state_dict() for name, part in self.parts().items()} | {
            "optimiser": self.optimiser.name,
            "generator": self.generator.get_state(),
            "steps": self.steps,
            "seed": self.seed,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`.

        Raises:
            LearnerError: it is another learner's, or of other sizes.
        """
        try:
            self.restart(state["optimiser"])
            for name, part in self.parts().items():
                part.load_state_dict(state[name])
            self.generator.set_state(state["generator"].cpu())
            self.steps, self.seed = state["steps"], state["seed"]
        except (KeyError, RuntimeError, ValueError) as error:
            raise LearnerError(f"state: expected that of a ranking learner of these sizes; found: {error}.") from error
        self.check.forget()
