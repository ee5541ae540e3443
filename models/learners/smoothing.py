"""Noise on target actions, so that a narrow peak of a critic is worth little (Fujimoto et al. 2018, §5.3)."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


def smoothed(actions: Tensor, noise: float, clip: float, generator: torch.Generator) -> Tensor:
    """π'(s') + clip(ε, -c, c) for actions (N, D) of length 1, again of length 1; ε ~ N(0, σ), eq. 14.

    TD3's σ and c are in units of the largest coordinate. Here they are in units of D^-½, the coordinates of an even action,
    so that the noise is about σ long however wide actions are.
    """
    shift = noise * torch.randn(actions.shape, generator=generator, device=actions.device, dtype=actions.dtype)
    return normalize(actions + shift.clamp(-clip, clip) * actions.shape[-1] ** -0.5, dim=-1)
