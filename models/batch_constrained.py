"""The networks of BCQ: a generator of actions like the logged ones, their perturbation, and the best of the candidates."""

import torch
from torch import Tensor, nn

from models.networks import Critics, Precision, products_in
from models.ranks import by_rows

LATENT_BOUND = 0.5  # of each coordinate of a latent vector that candidates are generated from
LOG_DEVIATION = (-4.0, 15.0)  # bounds of the encoder's log σ


class StateAndVector(nn.Module):
    """Two hidden ReLU layers on a state and C vectors, (B, S), (B, C, X) → (B, C, out); vectors (C, X) are those of all states.

    W [s | x] = W_s s + W_x x: W_s s, the long part, is computed once for all vectors of a state. `state_encoder`: as for
    `models.networks.Actor`.
    """

    def __init__(
        self,
        state_dim: int,
        vector_dim: int,
        hidden_dim: int,
        out: int,
        precision: Precision,
        state_encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.state_encoder = state_encoder or nn.Identity()
        self.precision: Precision = precision
        self.of_state = nn.Linear(state_dim, hidden_dim)
        self.of_vector = nn.Linear(vector_dim, hidden_dim, bias=False)
        self.layers = nn.Sequential(
            nn.ReLU(inplace=True), nn.Linear(hidden_dim, hidden_dim), nn.ReLU(inplace=True), nn.Linear(hidden_dim, out)
        )

    def forward(self, state: Tensor, vectors: Tensor) -> Tensor:
        """The output, (B, C, out)."""
        state = self.state_encoder(state)
        with products_in(self.precision, state.device):
            of_vectors = self.of_vector(vectors).expand(len(state), -1, -1)
            values = by_rows(lambda rows, own: self.layers(self.of_state(rows).unsqueeze(1) + own), state, of_vectors)
        return values.to(self.of_state.bias.dtype)


class Decoder(StateAndVector):
    """D(s, z): an action like those logged in state s, for each latent vector z; within ± max_action.

    `latents`, (n, Z), are the latent vectors that a policy generates its candidates from.
    """

    latents: Tensor

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        hidden_dim: int,
        max_action: float,
        latents: Tensor,
        precision: Precision,
        state_encoder: nn.Module | None = None,
    ) -> None:
        super().__init__(state_dim, latents.shape[1], hidden_dim, action_dim, precision, state_encoder)
        self.max_action = max_action
        self.register_buffer("latents", latents)

    def forward(self, state: Tensor, vectors: Tensor) -> Tensor:
        """Actions (B, C, D) of latent vectors (B, C, Z) or (C, Z)."""
        return self.max_action * torch.tanh(super().forward(state, vectors))


class Perturbation(StateAndVector):
    """ξ(s, a): moves each coordinate of an action by at most Φ, in units of max_action; the result stays within ± max_action."""

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        hidden_dim: int,
        max_action: float,
        bound: float,
        precision: Precision,
        state_encoder: nn.Module | None = None,
    ) -> None:
        super().__init__(state_dim, action_dim, hidden_dim, action_dim, precision, state_encoder)
        self.max_action, self.bound = max_action, bound

    def forward(self, state: Tensor, vectors: Tensor) -> Tensor:
        """A + ξ(s, a), (B, C, D), of actions (B, C, D)."""
        shift = self.bound * self.max_action * torch.tanh(super().forward(state, vectors))
        return (vectors + shift).clamp(-self.max_action, self.max_action)


class ConditionalVAE(nn.Module):
    """G(s): a conditional variational autoencoder of logged actions (Sohn et al. 2015); E(s, a) encodes, D(s, z) decodes."""

    def __init__(
        self,
        decoder: Decoder,
        state_dim: int,
        action_dim: int,
        hidden_dim: int,
        state_encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        width = 2 * decoder.latents.shape[1]
        self.encoder = StateAndVector(state_dim, action_dim, hidden_dim, width, decoder.precision, state_encoder)
        self.decoder = decoder

    def forward(self, state: Tensor, action: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """The reconstruction of actions (B, D), and the divergence of each latent coordinate, (B, Z).

        Args:
            state: (B, S).
            action: (B, D).
            noise: standard normal, (B, Z).

        Returns:
            D(s, μ + σ ε), (B, D), and KL(N(μ, σ) ‖ N(0, 1)) in nats, (B, Z).
        """
        mean, log_deviation = self.encoder(state, action.unsqueeze(1)).squeeze(1).chunk(2, dim=1)
        log_deviation = log_deviation.clamp(*LOG_DEVIATION)
        deviation = log_deviation.exp()
        reconstruction = self.decoder(state, (mean + deviation * noise).unsqueeze(1)).squeeze(1)
        divergence = (mean.square() + deviation.square() - 1) / 2 - log_deviation
        return reconstruction, divergence


class BestOfCandidates(nn.Module):
    """π(s) = argmax_i Q1(s, a_i + ξ(s, a_i)), a_i = D(s, z_i), of n latent vectors z_i that are drawn once and kept.

    The paper draws new ones for every decision. Kept ones make the policy deterministic.
    """

    def __init__(self, decoder: Decoder, perturbation: Perturbation, critics: Critics) -> None:
        super().__init__()
        self.decoder, self.perturbation, self.critics = decoder, perturbation, critics
        self.observation_dim, self.hidden_dim = decoder.of_state.in_features, decoder.of_state.out_features
        self.action_dim, self.max_action = perturbation.of_vector.in_features, perturbation.max_action

    @property
    def state_encoder(self) -> nn.Module:
        """The decoder's state encoder; the others are alike."""
        return self.decoder.state_encoder

    def forward(self, observation: Tensor) -> Tensor:
        """π(s), (B, D)."""
        candidates: Tensor = self.perturbation(observation, self.decoder(observation, self.decoder.latents))
        best = self.critics.of_several(observation, candidates, 1, "float32")[0].argmax(1)
        return candidates[torch.arange(len(best), device=best.device), best]


def clipped_latents(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal numbers, clipped to ± 0.5, so that candidates are likely ones."""
    drawn = torch.randn(shape, generator=generator, device=generator.device)
    return drawn.clamp(-LATENT_BOUND, LATENT_BOUND)
