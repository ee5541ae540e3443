"""TD3's update as RecNN publishes it (recnn/nn/update/td3.py, models.py), rewritten: the baseline of the speed benchmarks.

The rewrite keeps what costs time and leaves out faults that do not: six separate networks with dropout, a graph through the target actor,
a policy forward at every step, gradients of the critic's weights in the policy's loss, targets moved parameter by parameter.
"""

from copy import deepcopy
from typing import cast

import torch
from torch import nn

from models.batch import Batch

DISCOUNT, NOISE, NOISE_CLIP, RATE = 0.99, 0.2, 0.5, 0.005


def network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Three layers, ReLU and dropout after both hidden ones."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(0.5), nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(hidden, outputs),
    )  # fmt: skip


class RecNN:
    """One TD3 learner; batches as `models.batch.Batch`."""

    def __init__(self, observation: int, action: int, hidden: int, policy_delay: int) -> None:
        self.policy = network(observation, hidden, action)
        self.values = [network(observation + action, hidden, 1) for _ in range(2)]
        self.target_policy = deepcopy(self.policy).eval()
        self.target_values = [deepcopy(value).eval() for value in self.values]
        self.policy_optimiser = torch.optim.Adam(self.policy.parameters(), 3e-4)
        self.value_optimisers = [torch.optim.Adam(value.parameters(), 3e-4) for value in self.values]
        self.policy_delay, self.step = policy_delay, 0

    def update(self, batch: Batch) -> dict[str, float]:
        """One step of both critics; every `policy_delay`-th time also of the actor and all target networks."""
        state, action, reward, next_state, done, _ = batch
        reward, done = reward.unsqueeze(1), done.unsqueeze(1)
        next_action = self.target_policy(next_state)
        noise = torch.normal(torch.zeros(next_action.size()), NOISE).clamp(-NOISE_CLIP, NOISE_CLIP)
        next_action = next_action + noise
        with torch.no_grad():
            next_values = [target(torch.cat([next_state, next_action], 1)) for target in self.target_values]
            expected = reward + (1 - done) * DISCOUNT * torch.min(*next_values)
        losses = [nn.functional.mse_loss(value(torch.cat([state, action], 1)), expected) for value in self.values]
        for loss, optimiser in zip(losses, self.value_optimisers, strict=True):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        policy_loss = -self.values[0](torch.cat([state, self.policy(state)], 1)).mean()
        self.step += 1
        if self.step % self.policy_delay == 0:
            self.policy_optimiser.zero_grad()
            policy_loss.backward()
            nn.utils.clip_grad_norm_(self.policy.parameters(), 1)
            self.policy_optimiser.step()
            for target, source in zip(
                [self.target_policy, *self.target_values], [self.policy, *self.values], strict=True
            ):
                soft_update(source, target)
        return {"value1": losses[0].item(), "value2": losses[1].item(), "policy": cast("float", policy_loss.item())}


def soft_update(source: nn.Module, target: nn.Module) -> None:
    """θ' ← (1 - τ) θ' + τ θ."""
    for slow, fast in zip(target.parameters(), source.parameters(), strict=True):
        slow.data.copy_(slow.data * (1.0 - RATE) + fast.data * RATE)
