"""Train TD3+BC on a published dataset in plain PyTorch, then rank movies for a user.

    marquee pull dataset@latest --from .marquee/published --to pulled
    python examples/first_hour.py pulled/dataset/*

Only the loader is Marquee's. The networks, the training loop, the ranking and the metric are in this file, for you to change.
"""

import argparse
import copy
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import torch
from torch import Tensor, nn
from torch.nn import functional

from storage.dataset.reader import TransitionDataset

BATCH, HIDDEN = 256, 128
LEARNING_RATE, DISCOUNT, TARGET_RATE = 1e-3, 0.9, 0.005
TARGET_NOISE, NOISE_CLIP, POLICY_DELAY = 0.2, 0.5, 2
ALPHA = 0.5  # the weight of the critic; TD3+BC's paper uses 2.5, plain TD3 is the limit of a large ALPHA


class Ranking(NamedTuple):
    """What the example prints."""

    ndcg: float
    popularity_ndcg: float
    titles: list[str]


def mlp(inputs: int, outputs: int) -> nn.Sequential:
    """Two hidden layers with ReLU."""
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs)
    )


class TD3:
    """TD3 (Fujimoto et al. 2018) with the behaviour cloning term of TD3+BC (Fujimoto & Gu 2021).

    Args:
        observation_dim: S, the width of an observation.
        action_dim: D, the width of an action, which is an item embedding.
        max_action: the largest absolute coordinate of an action.
    """

    def __init__(self, observation_dim: int, action_dim: int, max_action: float) -> None:
        self.max_action, self.steps = max_action, 0
        self.actor = mlp(observation_dim, action_dim)
        self.critics = nn.ModuleList(mlp(observation_dim + action_dim, 1) for _ in range(2))
        self.target_actor, self.target_critics = copy.deepcopy(self.actor), copy.deepcopy(self.critics)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), LEARNING_RATE)
        self.critic_optimiser = torch.optim.Adam(self.critics.parameters(), LEARNING_RATE)

    def act(self, observation: Tensor, actor: nn.Module | None = None) -> Tensor:
        """The action for each observation: (B, S) → (B, D)."""
        action: Tensor = self.max_action * torch.tanh((actor or self.actor)(observation))
        return action

    def values(self, critics: nn.ModuleList, observation: Tensor, action: Tensor) -> Tensor:
        """Both critics' values of an action in a state: (2, B)."""
        joined = torch.cat((observation, action), dim=1)
        return torch.stack([critic(joined).squeeze(1) for critic in critics])

    @torch.no_grad()
    def target(self, reward: Tensor, next_observation: Tensor, terminal: Tensor) -> Tensor:
        """Compute r + γ (1 - d) min(Q1', Q2')(s', π'(s') + ε), (B,)."""
        next_action = self.act(next_observation, self.target_actor)
        noise = (TARGET_NOISE * torch.randn_like(next_action)).clamp(-NOISE_CLIP, NOISE_CLIP)
        next_action = (next_action + self.max_action * noise).clamp(-self.max_action, self.max_action)
        next_value = self.values(self.target_critics, next_observation, next_action).min(dim=0).values
        return reward + DISCOUNT * (1 - terminal) * next_value

    def update(self, observation: Tensor, action: Tensor, target: Tensor) -> None:
        """One step of the critics; every second step also one of the actor and the target networks."""
        critic_loss = (self.values(self.critics, observation, action) - target).square().mean(dim=1).sum()
        self.critic_optimiser.zero_grad()
        critic_loss.backward()
        self.critic_optimiser.step()
        self.steps += 1
        if self.steps % POLICY_DELAY:
            return
        chosen = self.act(observation)
        value = self.values(self.critics, observation, chosen)[0]
        cloning = (chosen - action).square().mean()
        actor_loss = cloning - ALPHA * value.mean() / value.detach().abs().mean()
        self.actor_optimiser.zero_grad()
        actor_loss.backward()
        self.actor_optimiser.step()
        for slow, fast in ((self.target_actor, self.actor), (self.target_critics, self.critics)):
            for slow_weight, weight in zip(slow.parameters(), fast.parameters(), strict=True):
                slow_weight.data.lerp_(weight.data, TARGET_RATE)


def train(data: TransitionDataset, steps: int) -> TD3:
    """Train on batches of the training users' transitions."""
    agent = TD3(data.observation_dim, data.dim, float(data.embedding.abs().max()))
    starts = data.starts("train")  # a transition is named by the first event of its frame
    for step in range(1, steps + 1):
        batch = data.gather(starts[torch.randint(len(starts), (BATCH,))])
        target = agent.target(batch.reward, batch.next_observation, batch.terminal)
        agent.update(batch.observation, batch.action, target)
        if step % 250 == 0:
            print(f"step {step} of {steps}")
    return agent


def masked(data: TransitionDataset, starts: Tensor, scores: Tensor) -> Tensor:
    """Scores (B, I) in which the items that the user had rated before are -inf."""
    seen, _ = data.histories(starts)  # (B, L), filled with -1
    rows = torch.arange(len(starts)).unsqueeze(1).expand_as(seen)
    scores = scores.clone()
    scores[rows[seen >= 0], seen[seen >= 0]] = -torch.inf
    return scores


def ndcg_at_10(scores: Tensor, target: Tensor) -> float:
    """The mean NDCG@10 of scores (B, I) with one relevant item, `target` (B,), in each row."""
    rank = (scores > scores.gather(1, target.unsqueeze(1))).sum(dim=1)
    return float((1 / torch.log2(rank + 2.0)).where(rank < 10, 0.0).mean())


def rank(data: TransitionDataset, agent: TD3, titles: list[str]) -> Ranking:
    """Rank the whole catalogue for each validation user's last transition, by cosine similarity to the action."""
    starts = data.last_starts("validation", max_per_user=1)
    with torch.no_grad():
        actions = agent.act(data.gather(starts).observation)
    scores = functional.normalize(actions, dim=1) @ functional.normalize(data.embedding, dim=1).T
    scores = masked(data, starts, scores)
    popularity = torch.bincount(data.training_events()[1], minlength=data.items).float().expand_as(scores)
    target = data.target_items(starts)
    return Ranking(
        ndcg_at_10(scores, target),
        ndcg_at_10(masked(data, starts, popularity), target),
        [titles[item] for item in scores[0].topk(10).indices],
    )


def main(arguments: list[str] | None = None) -> Ranking:
    """Load, train, rank, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="A pulled dataset: the folder with transitions.h5 and items.parquet.")
    parser.add_argument("--steps", type=int, default=1000, help="Training steps of 256 transitions.")
    given = parser.parse_args(arguments)
    torch.manual_seed(0)
    data = TransitionDataset.open(given.folder / "transitions.h5")
    titles = pq.read_table(given.folder / "items.parquet", columns=["title"])["title"].to_pylist()
    print(f"{len(data):,} transitions, {data.items:,} movies, {len(data.user_ids):,} users")
    ranking = rank(data, train(data, given.steps), titles)
    print("Top 10 for one validation user:")
    for place, title in enumerate(ranking.titles, 1):
        print(f"{place:>4}. {title}")
    print(f"NDCG@10 on validation users: {ranking.ndcg:.4f} (popularity: {ranking.popularity_ndcg:.4f})")
    return ranking


if __name__ == "__main__":
    main()
