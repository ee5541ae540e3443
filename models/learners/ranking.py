"""TD3 whose actor learns to rank, by cross-entropy to the logged next item over the catalogue and by the critics' value.

Sequential recommenders are trained by this cross-entropy (Hidasi et al. 2016). SQN and SAC (Xin et al. 2020) add a critic; here
the critics are those of TD3 (Fujimoto et al. 2018), and an action is a direction among the item embeddings.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from models.baselines.training import TrainingData
from models.batch import Sequences
from models.kernels import association_kernel, kernel_items, transition_kernel
from models.learners.entry import ActionComparison, LearnerEntry
from models.learners.n_step import n_step_targets
from models.learners.negatives import corrected
from models.learners.ranking_config import RankingConfig
from models.learners.sequence_learner import SequenceLearner
from models.networks import frozen, move_towards
from models.optimisers import Optimiser
from models.space import Space


class Ranking(SequenceLearner):
    """An actor that ranks, two critics, target networks of both."""

    config: RankingConfig

    def __init__(
        self, config: RankingConfig, space: Space, data: TrainingData, device: torch.device | str, seed: int
    ) -> None:
        super().__init__(config, space, data, device, seed)
        shared = {id(buffer): buffer for buffer in self.policy.buffers()}  # never written to, and of size M²
        self.target_policy = deepcopy(self.policy, shared).requires_grad_(False).eval()
        self.highest = float(data.rewards.abs().max())
        if config.has_critics:
            critics = self.policy.critics.parameters()
            self.optimisers["critic"] = Optimiser(config.optimiser, critics, config.critic_learning_rate)

    def kernels(self, data: TrainingData) -> tuple[Tensor, Tensor, Tensor]:
        """The items with a row in the kernels, (M,), the transitions and the associations, (M, M) each; none without fitted terms."""
        if not self.config.policy.fitted:
            return super().kernels(data)
        items, config = kernel_items(data, self.config.kernel), self.config.kernel
        return items, transition_kernel(data, items, config), association_kernel(data, items, config)

    def actor_loss(self, batch: Sequences, states: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy to the logged next item, plus -λ Q1(s, π(s)) / mean |Q1|."""
        actions, there = self.policy.actions(states), batch.taken
        rated, candidates, target, log_chance = self.draw(batch)
        scores = self.policy.learnt_scores(actions[rated], candidates)
        logits = corrected(scores, target, log_chance)
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
        """The targets y = r + γ (1 - d) min(Q1', Q2')(s', π'(s') + ε) of N logged actions, (N,), Fujimoto et al. 2018, eq. 10.

        With `n_step` > 1 those of n steps.
        """
        there, policy = batch.taken, self.target_policy
        value = torch.zeros_like(batch.rewards[:, 1:])
        with torch.no_grad():
            s_next = policy.states(batch.items, batch.rewards)[:, 1:][there]
            a_next = policy.actions(s_next)
            if noise > 0:
                a_next = smoothed(a_next, noise, self.config.noise_clip, self.generator)
            value[there] = policy.values(s_next, a_next)
        return n_step_targets(batch, value, self.config.discount, self.config.n_step)[there]

    def critic_loss(self, batch: Sequences, states: Tensor, noise: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Σ_i mean (Q_i(s, a) - y)²."""
        there, y = batch.taken, self.targets(batch, noise)
        action = self.policy.unit[batch.items[:, 1:][there]]
        q = self.policy.critics(states[there].detach(), action)
        return (q - y).square().mean(1).sum(), {"value_logged": q.mean(), "value_target": y.mean()}

    def all_losses(self, batch: Sequences) -> tuple[list[Tensor], dict[str, Tensor]]:
        """The actor's loss and, if there are critics, theirs; and all metrics by name."""
        states = self.policy.states(*batch.before)
        actor_loss, found = self.actor_loss(batch, states)
        if not self.config.has_critics:
            return [actor_loss], {"actor_loss": actor_loss} | found
        noise = self.config.target_noise if self.policy.training else 0.0
        critic_loss, values = self.critic_loss(batch, states, noise)
        return [actor_loss, critic_loss], {"actor_loss": actor_loss, "critic_loss": critic_loss} | found | values

    def move_targets(self) -> None:
        """Move all target networks at every `policy_delay`-th step."""
        if self.config.has_critics and self.steps % self.config.policy_delay == 0:
            move_towards(self.target_policy, self.policy, self.config.target_rate)

    def compare(self, batch: Sequences) -> ActionComparison:
        """As the base's, with the values of the losses if there are critics."""
        found = super().compare(batch)
        if not self.config.has_critics:
            return found
        with torch.no_grad():
            s = self.policy.states(*batch.before)[batch.taken]
            of_logged, of_policy = (self.policy.critics(s, chosen) for chosen in (found.logged, found.actions))
        values = {"logged": of_logged.mean(0), "policy": of_policy[0], "target": self.targets(batch, 0.0)}
        return found._replace(values=values)

    def networks(self) -> dict[str, nn.Module]:
        """As the base's, with the target networks if there are critics."""
        return super().networks() | ({"target_policy": self.target_policy} if self.config.has_critics else {})


def smoothed(actions: Tensor, noise: float, clip: float, generator: torch.Generator) -> Tensor:
    """Compute π'(s') + clip(ε, -c, c), ε ~ N(0, σ), of actions (N, D) of length 1; the result has length 1 again.

    The noise keeps the actor from narrow peaks of a critic (Fujimoto et al. 2018, §5.3, eq. 14). TD3's σ and c are in units of
    the largest coordinate. Here they are in units of D^-½, so that the noise has a length of about σ for every D.
    """
    shift = noise * torch.randn(actions.shape, generator=generator, device=actions.device, dtype=actions.dtype)
    return normalize(actions + shift.clamp(-clip, clip) * actions.shape[-1] ** -0.5, dim=-1)


ENTRY = LearnerEntry(
    RankingConfig,
    Ranking,
    summary="Scores every item by a weighted sum of item transitions, item associations, content similarity, popularity and a learnt "
    "action over a sequence state, and lets TD3's critics re-rank the best; all weights are tuned on validation users, for each question.",
    paper="This project, docs/methods.md; Fujimoto et al. 2018, Cho et al. 2014, Jean et al. 2015, Steck 2019",
)
