"""Targets of n steps, TD(n), for critics that learn from sequences (Sutton & Barto 2018, §7.1)."""

import torch
from torch import Tensor

from models.batch import Sequences


def n_step_targets(batch: Sequences, value: Tensor, discount: float, n: int) -> Tensor:
    """Compute y_l = Σ_{k<n} γᵏ r_{l+k} + γⁿ (1 - d) v_{l+n-1} of each logged action; n is less where fewer actions are left.

    Args:
        batch: B sequences of L + 1 events.
        value: v, (B, L), of the state after each action.
        discount: γ.
        n: steps.

    Returns:
        y, (B, L).
    """
    rewards = batch.rewards[:, 1:]
    terminal = torch.zeros_like(rewards)
    terminal[:, -1] = batch.terminal
    y = rewards + discount * (1 - terminal) * value
    for _ in range(n - 1):  # y of m + 1 steps is the reward and, discounted, the y of m steps from the next action
        y = torch.cat((rewards[:, :-1] + discount * y[:, 1:], y[:, -1:]), 1)
    return y
