"""Noise on target actions, so that the actor cannot exploit narrow peaks of a critic (Fujimoto et al. 2018, §5.3)."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def smoothed(actions: Tensor, noise: float, clip: float, generator: torch.Generator) -> Tensor:
    """Compute π'(s') + clip(ε, -c, c), ε ~ N(0, σ), eq. 14, of actions (N, D) of length 1; the result has length 1 again.

    TD3's σ and c are in units of the largest coordinate. Here they are in units of D^-½, so that the noise has a length of
    about σ for every D.
    """
    shift = noise * torch.randn(actions.shape, generator=generator, device=actions.device, dtype=actions.dtype)
    return normalize(actions + shift.clamp(-clip, clip) * actions.shape[-1] ** -0.5, dim=-1)
