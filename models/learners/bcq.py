"""Batch-constrained deep Q-learning on logged transitions (BCQ; Fujimoto, Meger & Precup 2019)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from models.batch import Batch
from models.batch_constrained import BestOfCandidates, ConditionalVAE, Decoder, Perturbation, clipped_latents
from models.batch_constrained_policy import BatchConstrainedPolicy
from models.learners.actor_critic import TargetActorCritic
from models.learners.config import TargetConfig
from models.learners.entry import LearnerEntry
from models.nearest import Similarity
from models.space import Space


class BCQConfig(TargetConfig):
    """Hyper-parameters; sources in brackets, of Fujimoto et al. 2019 unless another is named."""

    name: Literal["bcq"] = "bcq"
    vae_learning_rate: float = Field(1e-3, gt=0, le=0.1, description="Learning rate of the generator [app. D].")
    latent_dim: int = Field(
        64,
        ge=1,
        le=8192,
        description="Z, width of a latent vector [app. D: twice that of an action, which has 17 numbers or fewer].",
    )
    divergence_weight: float = Field(
        0.5,
        ge=0,
        le=1000,
        description="Weight of the mean divergence of a latent coordinate [app. D: 1 / (2 Z) of the sum].",
    )
    policy_delay: int = Field(
        2, ge=1, le=100, description="Critic steps per step of the perturbation [Fujimoto et al. 2018, §5.2; BCQ: 1]."
    )
    samples: int = Field(10, ge=1, le=1000, description="n, candidates per state [§5.1].")
    perturbation: float = Field(0.05, ge=0, le=1, description="Φ, in units of max_action [§5.1].")
    minimum_weight: float = Field(
        0.75, ge=0, le=1, description="λ, weight of the smaller of the two critics' values against the larger [§5.1]."
    )


class BCQ(TargetActorCritic):
    """A generator G of actions like the logged ones, a perturbation ξ in the actor's place, two critics.

    Critics are only asked about actions that G generates, so that they are not trusted where there are no data.
    """

    config: BCQConfig
    policy: Perturbation
    critic_count = 2

    def __init__(self, config: BCQConfig, space: Space, device: torch.device, seed: int) -> None:
        super().__init__(config, space, device, seed)
        sizes = self.space.observation_dim, space.action_dim, config.hidden_dim
        latents = clipped_latents((config.samples, config.latent_dim), self.generator)
        decoder = Decoder(*sizes, space.max_action, latents, config.precision, self.make_state_encoder())
        self.vae = ConditionalVAE(decoder, *sizes, self.make_state_encoder()).to(device)
        self.optimise("vae", self.vae, config.vae_learning_rate)
        self.best = BestOfCandidates(self.vae.decoder, self.policy, self.critics)

    def make_policy(self) -> nn.Module:
        """ξ, which the actor's optimiser trains."""
        space, config = self.space, self.config
        sizes = space.observation_dim, space.action_dim, config.hidden_dim
        perturbation = Perturbation(
            *sizes, space.max_action, config.perturbation, config.precision, self.make_state_encoder()
        )
        if (bound := config.actor_last_bound) is not None:
            for parameter in perturbation.layers[-1].parameters():
                nn.init.uniform_(parameter, -bound, bound)
        return perturbation

    @property
    def acting(self) -> nn.Module:
        """The generator's decoder, the perturbation, the critics and the latent vectors of the candidates."""
        return self.best

    def recommender(self, embedding: Tensor, similarity: Similarity) -> BatchConstrainedPolicy:
        """The policy over items (I, D), re-ranked by the critics if `critic_candidates` says so."""
        return BatchConstrainedPolicy(self.best, embedding, similarity, self.config.critic_candidates)

    def act(self, observation: Tensor) -> Tensor:
        """π(s), the best of n candidates by Q1, (B, D)."""
        with torch.no_grad():
            action: Tensor = self.best(observation)
            return action

    def vae_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean (a - ã)² / mean a² + w mean KL: errors are in units of the logged actions, whose coordinates may be small."""
        noise = torch.randn((len(batch.action), self.config.latent_dim), generator=self.generator, device=self.device)
        reconstruction, divergence = self.vae(batch.observation, batch.action, noise)
        error = (reconstruction - batch.action).square().mean() / batch.action.square().mean().clamp_min(1e-12)
        loss = error + self.config.divergence_weight * divergence.mean()
        return loss, {"reconstruction_error": error, "latent_divergence": divergence.sum(1).mean()}

    def generated(self, observation: Tensor, *shape: int) -> Tensor:
        """Candidates D(s, z), z ~ clip(N(0, 1), -½, ½), (B, C, D), without gradient; z has the shape (*shape, Z)."""
        latents = clipped_latents((*shape, self.config.latent_dim), self.generator).to(observation.dtype)
        with torch.no_grad():
            actions: Tensor = self.vae.decoder(observation, latents)
            return actions

    def target(self, batch: Batch) -> Tensor:
        """The target y = r + γ (1 - d) max_i [λ min_j Q_j' + (1 - λ) max_j Q_j'](s', a_i + ξ'(s', a_i)), (B,), eq. 13.

        The n latent vectors are drawn for the batch: each state's candidates have the same distribution as if they were drawn
        for it alone, and cost a tenth less.
        """
        s_next = batch.next_observation
        candidates = self.target_policy(s_next, self.generated(s_next, self.config.samples))
        q = self.target_critics.of_several(s_next, candidates)
        soft = self.config.minimum_weight * q.amin(0) + (1 - self.config.minimum_weight) * q.amax(0)
        return self.bootstrapped(batch, soft.amax(1))

    def actor_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """-Q1(s, a + ξ(s, a)), a ~ G(s), eq. 14, plus the diversity penalty."""
        s = batch.observation
        action = self.policy(s, self.generated(s, len(batch.action), 1)).squeeze(1)
        q = self.critics(s, action, count=1)[0]
        return -q.mean() + self.likeness(action), {"value_policy": q.mean()}

    def step_critics(self, batch: Batch) -> dict[str, Tensor]:
        """Take one step of the generator, then one of the critics."""
        of_vae = self.descend("vae", *self.vae_loss(batch))
        return of_vae | super().step_critics(batch)

    def all_losses(self, batch: Batch) -> dict[str, Tensor]:
        """As the actor-critic's, with the generator's."""
        found = super().all_losses(batch)
        loss, metrics = self.vae_loss(batch)
        return {"vae_loss": loss} | metrics | found

    def networks(self) -> dict[str, nn.Module]:
        """As the actor-critic's, with the generator."""
        return super().networks() | {"vae": self.vae}


ENTRY = LearnerEntry(
    BCQConfig,
    BCQ,
    summary="Generates actions like the logged ones, moves them a little towards what two critics value, and takes the best of ten.",
    paper="Fujimoto, Meger & Precup 2019, arXiv:1812.02900",
)
