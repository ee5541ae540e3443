"""Claim: stacked twin critics make TD3's update faster than two separate networks.

Prints updates per second of both and their ratio, medians of several rounds in one process.
"""

import statistics
import time

import torch
from torch import Tensor, nn

from models.batch import Batch
from models.learners.td3 import TD3, TD3Config
from models.networks import Critics

S, D, B, UPDATES, ROUNDS = 1290, 128, 256, 15, 5


class Separate(nn.Module):
    """Two critics, each its own product."""

    def __init__(self) -> None:
        super().__init__()
        self.critics = nn.ModuleList(Critics(1, S, D, 256) for _ in range(2))

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        """Q1 and Q2, (2, B)."""
        return torch.cat([critic(observation, action) for critic in self.critics])


def learner(separate: bool) -> TD3:
    """TD3 with stacked or separate critics."""
    made = TD3(TD3Config(), S, D, 1.0, torch.device("cpu"), 0)
    if separate:
        made.critics, made.target_critics = Separate(), Separate().requires_grad_(False)  # type: ignore[assignment]
        made.critic_optimiser = torch.optim.Adam(made.critics.parameters(), 3e-4)
        made.actor_optimiser = torch.optim.Adam(made.actor.parameters(), 3e-4)
    return made


def main() -> None:
    """Measure and print."""
    batch = Batch(torch.randn(B, S), torch.randn(B, D).tanh(), torch.randn(B), torch.randn(B, S), torch.zeros(B))
    learners = {"stacked, fused Adam": learner(False), "separate, plain Adam": learner(True)}
    speeds: dict[str, list[float]] = {name: [] for name in learners}
    for made in learners.values():
        made.update(batch)
    for _ in range(ROUNDS):
        for name, made in learners.items():
            began = time.perf_counter()
            for _ in range(UPDATES):
                made.update(batch)
            speeds[name].append(UPDATES / (time.perf_counter() - began))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    for name, value in medians.items():
        print(f"{name}: {value:.1f} updates/s (batch {B}, {torch.get_num_threads()} threads)")
    print(f"ratio: {medians['stacked, fused Adam'] / medians['separate, plain Adam']:.2f}")


if __name__ == "__main__":
    main()
