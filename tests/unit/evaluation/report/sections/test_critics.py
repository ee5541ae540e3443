"""The part of the critics in what a policy ranks."""

import numpy as np
import pytest
import torch

from evaluation.protocols.cases import Cases, next_item_cases
from evaluation.protocols.ranking import rank_cases
from evaluation.report.sections.environment.numbers import WithoutCritics
from evaluation.report.sections.verdict.critics import Effect, measure_critics, what_critics_add
from models.fitted_terms import TrainingCatalogue
from models.networks import Actor, Critics
from models.policy import Policy
from models.ranking_policy import RankingPolicy
from models.ranking_policy_config import RankingPolicyConfig
from models.term_weights import TermWeights
from storage.dataset.reader import TransitionDataset


def wolpertinger(data: TransitionDataset, candidates: int) -> Policy:
    torch.manual_seed(0)
    sizes = data.observation_dim, data.dim, 8
    actor, critics = Actor(*sizes, 2.0), Critics(2, *sizes)
    return Policy(actor, data.embedding, "cosine", critics, candidates)


def ranking(data: TransitionDataset, critic: float = 0.0) -> RankingPolicy:
    torch.manual_seed(0)
    count, kernel = torch.ones(data.items), torch.eye(data.items)
    catalogue = TrainingCatalogue(data.embedding, count, count, torch.arange(data.items), kernel, kernel, 5.0)
    policy = RankingPolicy(RankingPolicyConfig(width=4, critic_width=4), catalogue).eval()
    policy.weights["next"] = TermWeights(transitions=0.25, popularity=1.0, critic=critic)
    return policy


def ratings_one_by_one(data: TransitionDataset, cases: Cases, best: np.ndarray) -> dict[int, float]:
    """The mean later rating of recommended items by user, event by event."""
    found: dict[int, list[float]] = {}
    for user, begin, items in zip(cases.users.tolist(), cases.known[:, 1].tolist(), best.tolist(), strict=True):
        for event in range(begin, int(data.offset[user + 1])):
            if int(data.item[event]) in items:
                found.setdefault(user, []).append(data.rating(event))
    return {user: float(np.mean(ratings)) for user, ratings in found.items()}


def test_what_critics_change_is_measured_on_the_same_users(data: TransitionDataset) -> None:
    cases = next_item_cases(data, "test", 3)
    found = measure_critics(data, "td3", wolpertinger(data, 15), cases)
    ranked = [rank_cases(data, wolpertinger(data, candidates), cases, 10) for candidates in (15, 0)]
    pairs = [({*mine} - {-1}, {*theirs}) for mine, theirs in zip(*(one.best.tolist() for one in ranked), strict=True)]
    new, listed = (
        sum(map(len, lists)) for lists in ([mine - theirs for mine, theirs in pairs], [mine for mine, _ in pairs])
    )
    assert found.changed == pytest.approx(new / listed)
    assert 0 < found.changed < 1
    quality, rating = found.effects
    gains = [np.where(one.ranks < 10, 1 / np.log2(one.ranks + 2.0), 0) for one in ranked]
    users = cases.users.numpy()
    by_user = [np.mean((gains[0] - gains[1])[users == user]) for user in np.unique(users)]
    assert quality.difference == pytest.approx(np.mean(by_user))
    mine, theirs = (ratings_one_by_one(data, cases, one.best) for one in ranked)
    shared = mine.keys() & theirs.keys()
    assert rating.difference == pytest.approx(np.mean([mine[user] - theirs[user] for user in shared]))
    assert rating.low <= rating.difference <= rating.high
    returns = WithoutCritics(policy="td3", value=30.0, without=20.0, difference=10.0, low=8.0, high=12.0)
    more = measure_critics(data, "td3", wolpertinger(data, 15), cases, returns)
    assert more.effects[:2] == found.effects
    assert (
        "+10.0000 (95 % interval +8.0000 to +12.0000). That is a gain in return with simulated users" in more.sentence
    )
    assert found.sentence.startswith(f"The critics of td3 change {100 * found.changed:.0f} % of the first 10 items.")


def test_critics_without_a_weight_have_no_part(data: TransitionDataset) -> None:
    cases = next_item_cases(data, "test", 3)
    found = measure_critics(data, "ranking", ranking(data), cases)
    assert (found.changed, found.effects) == (None, ())
    assert found.weights == TermWeights(transitions=0.25, popularity=1.0).model_dump()
    assert found.sentence.startswith("Tuning on validation users gave the critics of ranking no weight")
    assert measure_critics(data, "td3", wolpertinger(data, 0), cases).sentence == "No critics re-rank what td3 ranks."
    part = measure_critics(data, "ranking", ranking(data, critic=0.4), cases)
    assert part.changed is not None
    assert part.weights["critic"] == 0.4


@pytest.mark.parametrize(
    ("low", "words"),
    [
        (0.01, "That is a gain in stars."),
        (-0.01, "That is no gain that can be told from chance."),
        (-0.9, "That is no gain that can be told from chance, and a loss in stars."),
    ],
)
def test_a_gain_is_one_whose_interval_lies_above_zero(low: float, words: str) -> None:
    one = Effect(quantity="stars", value=4, without=3.9, difference=low + 0.1, low=low, high=low + 0.2)
    assert what_critics_add("td3", 0.123, [one]).endswith(words)
