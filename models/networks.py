"""The two networks of deterministic actor-critic methods."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn


class Actor(nn.Module):
    """π(s): two hidden ReLU layers, tanh scaled to ±max_action (Fujimoto et al. 2018, appendix C).

    Shapes: observation (B, S) → action (B, D). `last_bound`: the last layer starts uniform in ±it; none: as torch does.
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        hidden_dim: int,
        max_action: float,
        last_bound: float | None = None,
    ) -> None:
        super().__init__()
        self.observation_dim, self.action_dim, self.hidden_dim = observation_dim, action_dim, hidden_dim
        self.max_action = max_action
        self.layers = nn.Sequential(
            nn.Linear(observation_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.ReLU(),
            last := nn.Linear(hidden_dim, action_dim),
        )
        if last_bound is not None:
            for parameter in last.parameters():
                nn.init.uniform_(parameter, -last_bound, last_bound)

    def forward(self, observation: Tensor) -> Tensor:
        """π(s), (B, D)."""
        return self.max_action * torch.tanh(self.layers(observation))


class Critics(nn.Module):
    """n independent Q(s, a) in one stack of batched products: the same sums as n networks, fewer and larger.

    Shapes: observation (B, S), action (B, D) → values (n, B). `last_bound`: as the actor's.
    """

    def __init__(
        self, count: int, observation_dim: int, action_dim: int, hidden_dim: int, last_bound: float | None = None
    ) -> None:
        super().__init__()
        sizes = (observation_dim + action_dim, hidden_dim, hidden_dim, 1)
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for fan_in, fan_out in pairwise(sizes):
            bound = 1 / math.sqrt(fan_in)  # as torch.nn.Linear
            if fan_out == 1 and last_bound is not None:
                bound = last_bound
            self.weights.append(nn.Parameter(torch.empty(count, fan_in, fan_out).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(count, 1, fan_out).uniform_(-bound, bound)))

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Q_1 … Q_n of (s, a), (n, B)."""
        values = torch.cat((observation, action), dim=1).expand(len(self.weights[0]), -1, -1)
        for place, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = torch.baddbmm(bias, values, weight)
            if place < len(self.weights) - 1:
                values = torch.relu(values)
        return values.squeeze(-1)


def move_towards(target: nn.Module, source: nn.Module, rate: float) -> None:
    """θ' ← (1 - τ) θ' + τ θ, for all parameters."""
    with torch.no_grad():
        torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), rate)
