"""Training of a ranking network for a policy whose actor is trained already."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from models.histories import Histories
from models.policy import Policy
from models.ranking_network import RankerConfig, RankingNetwork
from models.wolpertinger import best_unseen


class Trained(NamedTuple):
    """Means over the last tenth of the updates: of the loss, and of the share of rows whose item was among the candidates."""

    loss: float
    found: float


def ranking_loss(
    network: RankingNetwork, policy: Policy, histories: Histories, items: Tensor, candidates: int
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the item that each user chose among the unseen items nearest to the policy's action.

    Rows whose item is not among them say nothing of their order and are left out. Adding it would teach the network that the
    farthest candidate is the right one.

    Args:
        network: is trained.
        policy: its actor stays as it is.
        histories: of B users.
        items: (B,) int64, what they chose next.
        candidates: k.

    Returns:
        the mean over the other rows, 0-d, which is 0 if there are none; and their share, 0-d.
    """
    with torch.no_grad():
        observation = policy.observations(histories)
        state, action = policy.actor.state_encoder(observation), policy.actor(observation)
        best = best_unseen(policy.nearest.scores(action), histories.items, candidates)
    logits = network(state, action, policy.embedding[best.items], best.scores)
    chosen = (best.items == items.unsqueeze(1)) & best.unseen
    losses = -(log_softmax(logits.masked_fill(~best.unseen, -1e9), 1) * chosen).sum(1)
    return losses.sum() / chosen.sum().clamp_min(1), chosen.any(1).float().mean()


def train_ranker(
    policy: Policy, config: RankerConfig, draw: Callable[[], tuple[Histories, Tensor]], seed: int
) -> Trained:
    """Give a policy a ranking network and train it.

    Args:
        policy: changed in place: the network re-ranks from now on.
        config: size and length of the training.
        draw: histories of B users, and the items that they chose next, (B,).
        seed: of the first weights.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = RankingNetwork(policy.actor.observation_dim, policy.actor.action_dim, policy.actor.hidden_dim)
    network = network.to(policy.embedding.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    seen = []
    for _ in range(config.steps):
        loss, found = ranking_loss(network, policy, *draw(), config.candidates)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(torch.stack((loss.detach(), found)))
    policy.re_rank_by(network, config.candidates)
    return Trained(*torch.stack(seen[-max(config.steps // 10, 1) :]).mean(0).tolist())
