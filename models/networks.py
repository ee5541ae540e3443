"""The networks of actor-critic methods: actor, value of a state, critics."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from models.ranks import by_rows

Precision = Literal["float32", "bfloat16"]


def products_in(precision: Precision, device: torch.device) -> torch.autocast:
    """Context in which matrix products and their gradients are computed in `precision`; weights keep their dtype."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def layers_of(width: int, hidden_dim: int, out: int, last_bound: float | None) -> nn.Sequential:
    """Two hidden ReLU layers and a linear one; the last is initialised uniformly within ± `last_bound`, if there is one."""
    layers = nn.Sequential(
        nn.Linear(width, hidden_dim),
        nn.ReLU(),
        nn.Linear(hidden_dim, hidden_dim),
        nn.ReLU(),
        last := nn.Linear(hidden_dim, out),
    )
    if last_bound is not None:
        for parameter in last.parameters():
            nn.init.uniform_(parameter, -last_bound, last_bound)
    return layers


class Actor(nn.Module):
    """π(s): two hidden ReLU layers, tanh scaled to ±max_action (Fujimoto et al. 2018, appendix C).

    Shapes: observation (B, S) → action (B, D). `last_bound`: the last layer is initialised uniformly within
    ± this; none: torch's default. `precision`: of the layers' matrix products; the result has the weights' dtype.
    `state_encoder`: makes the states (B, S) of what is observed, see `models.windows`; none: that is (B, S) already.
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        hidden_dim: int,
        max_action: float,
        last_bound: float | None = None,
        precision: Precision = "float32",
        state_encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.state_encoder = state_encoder or nn.Identity()
        self.precision = precision
        self.observation_dim, self.action_dim, self.hidden_dim = observation_dim, action_dim, hidden_dim
        self.max_action = max_action
        self.layers = layers_of(observation_dim, hidden_dim, action_dim, last_bound)

    def forward(self, observation: Tensor) -> Tensor:
        """π(s), (B, D)."""
        state = self.state_encoder(observation)
        with products_in(self.precision, state.device):
            values = by_rows(self.layers, state)
        return self.bounded(values.to(next(self.layers.parameters()).dtype))

    def bounded(self, values: Tensor) -> Tensor:
        """max_action tanh of the last layer's values (B, D)."""
        return self.max_action * torch.tanh(values)


class StateValue(nn.Module):
    """V(s): two hidden ReLU layers (Kostrikov et al. 2021, appendix B).

    Shapes: observation (B, S) → values (B,). `last_bound`, `precision`, `state_encoder`: as for the actor.
    """

    def __init__(
        self,
        observation_dim: int,
        hidden_dim: int,
        last_bound: float | None = None,
        precision: Precision = "float32",
        state_encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.precision = precision
        self.state_encoder = state_encoder or nn.Identity()
        self.layers = layers_of(observation_dim, hidden_dim, 1, last_bound)

    def forward(self, observation: Tensor) -> Tensor:
        """V(s), (B,)."""
        state = self.state_encoder(observation)
        with products_in(self.precision, state.device):
            values = by_rows(self.layers, state)
        v: Tensor = values.to(next(self.layers.parameters()).dtype).squeeze(-1)
        return v


class Critics(nn.Module):
    """n independent critics Q(s, a) in one stack of batched products: the same numbers as n networks, in fewer operations.

    Shapes: observation (B, S), action (B, D) → values (n, B). `last_bound`, `precision`, `state_encoder`: as for the actor;
    the critics share one encoder.
    """

    def __init__(
        self,
        count: int,
        observation_dim: int,
        action_dim: int,
        hidden_dim: int,
        last_bound: float | None = None,
        precision: Precision = "float32",
        state_encoder: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.count, self.precision = count, precision
        self.state_encoder = state_encoder or nn.Identity()
        width = observation_dim + action_dim
        first, hidden = 1 / math.sqrt(width), 1 / math.sqrt(hidden_dim)  # as torch.nn.Linear
        last = hidden if last_bound is None else last_bound

        def uniform(bound: float, *shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(count, *shape).uniform_(-bound, bound))

        self.weights = nn.ParameterList(  # W_s and W_a of the first layer, those of the second and of the last
            [
                uniform(first, observation_dim, hidden_dim),
                uniform(first, action_dim, hidden_dim),
                uniform(hidden, hidden_dim, hidden_dim),
                uniform(last, hidden_dim, 1),
            ]
        )
        self.biases = nn.ParameterList(
            [uniform(first, 1, hidden_dim), uniform(hidden, 1, hidden_dim), uniform(last, 1, 1)]
        )

    def forward(self, observation: Tensor, action: Tensor, count: int | None = None) -> Tensor:
        """Q_1 … Q_n of (s, a), (n, B); with `count` only the first `count` of them.

        W [s | a] = W_s s + W_a a: s and a are not concatenated, and if only the action needs a gradient, none is computed for
        the long observation.
        """
        return self.of_several(observation, action.unsqueeze(1), count).squeeze(-1)

    def of_several(
        self, observation: Tensor, actions: Tensor, count: int | None = None, precision: Precision | None = None
    ) -> Tensor:
        """The same of C actions in each state: (B, S), (B, C, D) → (n, B, C). W_s s is computed once per state.

        Ranking actions needs a `precision` of float32: bfloat16 makes nearby values equal.
        """
        own = precision or self.precision
        return by_rows(
            lambda states, rows: self._of_rows(states, rows, count, own),
            self.state_encoder(observation),
            actions,
            dim=1,
        )

    def _of_rows(self, state: Tensor, actions: Tensor, count: int | None, precision: Precision) -> Tensor:
        weights, biases = list(self.weights), list(self.biases)
        if count is not None:
            weights, biases = [weight[:count] for weight in weights], [bias[:count] for bias in biases]
        stacked = (len(biases[0]), -1, -1)
        with products_in(precision, state.device):
            of_state = torch.baddbmm(biases[0], state.expand(stacked), weights[0])
            if actions.shape[1] == 1:
                values = torch.baddbmm(of_state, actions.squeeze(1).expand(stacked), weights[1])
            else:  # added in place: no copy of W_s s for each action
                values = torch.bmm(actions.flatten(0, 1).expand(stacked), weights[1])
                values = values.unflatten(1, actions.shape[:2]).add_(of_state.unsqueeze(2)).flatten(1, 2)
            for weight, bias in zip(weights[2:], biases[1:], strict=True):
                values = torch.baddbmm(bias, values.relu_(), weight)
        return values.squeeze(-1).to(biases[-1].dtype).view(-1, *actions.shape[:2])


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Context in which the module's weights get no gradient, while its inputs do."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


def move_towards(target: nn.Module, source: nn.Module, rate: float) -> None:
    """θ' ← (1 - τ) θ' + τ θ, for all parameters."""
    with torch.no_grad():
        torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), rate)
