"""A dataset of the generated sample, with policies of which the true value is known."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sample_support import read_events
from torch import Tensor

from evaluation.baselines import fit_baselines
from evaluation.off_policy.estimates import OffPolicyParams, chances
from evaluation.simulated_dataset import SimulatedDataset, Truth
from models.environments.mechanics import MECHANISMS, Mechanics
from models.environments.ratings import Ratings
from models.histories import Histories, Scorer, seen_items
from storage.dataset.reader import TransitionDataset
from storage.dataset.scale import BEST_REWARD, WORST_REWARD, RatingScale
from storage.dataset.splits import SplitParams, split_users
from storage.dataset.writer import write_transitions
from tasks.sample import SampleParams, load_truth, write_sample

# Users whose liking does not change, so that one matrix is the truth.
STEADY = Mechanics(acceptance=10, acceptance_slope=0, appeal=0, satisfaction=0, exit_rate=0.025).without(*MECHANISMS)
NOISE = Ratings().noise  # in stars
NAMED_BY = 10  # so many first items tell users apart


class Generated(NamedTuple):
    dataset: TransitionDataset
    truth: Truth
    simulated: SimulatedDataset
    rewards: NDArray[np.float32]  # (U, I) true means


def generated(folder: Path, params: SampleParams) -> Generated:
    """The sample written, read by the real readers and made a dataset; embeddings are the true contents in noise."""
    write_sample(folder, params)
    truth = load_truth(folder)
    events, _ = read_events(folder)
    noise = np.random.default_rng(0).normal(0, 0.15, truth.users.world.items.shape)
    write_transitions(
        folder / "transitions.h5",
        [events],
        user_ids=events.user_id,
        split=split_users(events.user_id, SplitParams(test=0.3, validation=0.15)),
        movie_ids=truth.movie_ids,
        embeddings=(truth.users.world.items + noise).astype(np.float32),
        scale=RatingScale(),
        frame=10,
        time_cut=int(events.timestamp.max()),
        provenance={},
    )
    dataset = TransitionDataset.open(folder / "transitions.h5")
    simulated = SimulatedDataset(truth, dataset)
    states = simulated.users.start(simulated.rows)  # which do not change
    stars = simulated.users.expected_stars(states, simulated.users.liking(states))
    return Generated(dataset, truth, simulated, (2 * stars - 5).astype(np.float32))


class Told:
    """Scores by a rule of who the user is, whom a history's first items give away, and of the history."""

    def __init__(self, data: Generated, rule: Callable[[Tensor, Histories], Tensor]) -> None:
        self.rule = rule
        first = data.dataset.offset.tolist()
        items = data.dataset.item.tolist()
        self.user = {tuple(items[at : at + NAMED_BY]): row for row, at in enumerate(first[:-1])}

    def scores(self, histories: Histories) -> Tensor:
        rows = [self.user[tuple(row[row >= 0][:NAMED_BY].tolist())] for row in histories.items]
        return self.rule(torch.tensor(rows), histories)


def known_policies(data: Generated) -> dict[str, Scorer]:
    """What each user likes, what people choose, what is popular, anything, what is not liked; and two methods.

    The first, second and fifth know each user's true taste; no method can.
    """
    world = data.simulated.users.world
    affinity = torch.from_numpy(world.affinity(data.simulated.rows)).float()
    likeness = torch.from_numpy(world.items @ world.items.T)
    items = data.dataset.training_events()[1]
    popularity = torch.log(torch.bincount(items, minlength=data.dataset.items) + 0.5)
    anything = torch.rand(affinity.shape, generator=torch.Generator().manual_seed(0))

    def choice(users: Tensor, histories: Histories) -> Tensor:
        return 0.6 * popularity + 1.2 * affinity[users] + likeness[histories.last(3).items].sum(1)

    return {
        "ideal": Told(data, lambda users, _: affinity[users]),
        "as people choose": Told(data, choice),
        "popular": Told(data, lambda users, _: popularity.expand(len(users), -1)),
        "random": Told(data, lambda users, _: anything[users]),
        "contrary": Told(data, lambda users, _: -affinity[users]),
        **fit_baselines(data.dataset, {"markov": {}, "content similarity": {}}, max_items=1000),
    }


def followed(data: Generated, scorer: Scorer, params: OffPolicyParams, starts: Tensor) -> float:
    """The mean of the next H ratings, discounted, of users who from each start take what the policy gives and rate it."""
    generator = torch.Generator().manual_seed(0)
    rewards = torch.from_numpy(data.rewards)[data.dataset.users_of(starts)]
    histories = Histories(*data.dataset.histories(starts))
    total = torch.zeros(len(starts))
    for step in range(params.horizon):
        items, chance = chances(scorer.scores(histories), seen_items(histories.items, data.dataset.items), params)
        taken = items.gather(1, torch.multinomial(chance, 1, generator=generator))
        reward = rewards.gather(1, taken)
        total += params.discount**step * reward.squeeze(1)
        noise = 2 * NOISE * torch.randn(reward.shape, generator=generator)
        told = (reward + noise).round().clamp(WORST_REWARD, BEST_REWARD)
        histories = Histories(torch.cat((histories.items, taken), 1), torch.cat((histories.rewards, told), 1))
    mean = total.mean() / sum(params.discount**step for step in range(params.horizon))
    return float((mean - data.dataset.reward.offset) / data.dataset.reward.scale)
