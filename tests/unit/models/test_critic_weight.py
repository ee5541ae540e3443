"""Another weight of the critics: for each form of policy, and none for those without critics that can re-rank."""

import pytest
import torch
from torch import Tensor
from unit.serving.serving_support import FRAME, ITEMS, embedding, nearest, ranking

from models.baselines.popularity import Popularity
from models.critic_weight import CANDIDATES, with_critic_weight, without_critics
from models.ensemble import Ensemble
from models.histories import Histories
from models.policy import Policy
from models.ranking_network import RankingNetwork
from models.serve_for import serving

HISTORY = Histories(torch.tensor([[2, 4, 10], [7, 0, 1]]), torch.tensor([[5.0, -3.0, 1.0], [2.0, 2.0, 2.0]]))


@pytest.fixture
def policy() -> Policy:
    torch.manual_seed(0)
    return nearest(embedding())


def order(scores: Tensor) -> list[list[int]]:
    """The unseen items, the best first."""
    return (
        scores.scatter(1, HISTORY.items, -torch.inf).argsort(dim=1, descending=True, stable=True)[:, :-FRAME].tolist()
    )


def test_score_and_value_are_standardised_over_the_best_items_and_added(policy: Policy) -> None:
    weighted = with_critic_weight(policy, 0.7)
    assert isinstance(weighted, Policy)
    assert policy.critics is not None
    near = policy.nearest.scores(policy.act(HISTORY))
    for row, ranked in enumerate(order(weighted.scores(HISTORY))):
        best = [item for item in near[row].argsort(descending=True).tolist() if item not in HISTORY.items[row]][:5]
        observation = policy.observations(HISTORY)[[row] * 5]
        value = policy.critics(observation, policy.embedding[best]).detach().amin(0)
        mixed = (near[row, best] - near[row, best].mean()) / near[row, best].std()
        mixed += 0.7 * (value - value.mean()) / value.std()
        assert ranked[:5] == [best[place] for place in mixed.argsort(descending=True)]
    assert weighted.actor is policy.actor
    assert policy.critic_weight == float("inf")


def test_a_weight_of_0_leaves_the_order_of_nearness_and_a_large_one_that_of_values(policy: Policy) -> None:
    weights = [with_critic_weight(policy, weight) for weight in (0.0, 100.0)]
    near, valued = (order(one.scores(HISTORY)) for one in weights if one is not None)
    assert near == order(policy.nearest.scores(policy.act(HISTORY)))
    assert valued == order(policy.scores(HISTORY)) != near


def test_critics_that_tuning_left_nothing_to_re_rank_can_re_rank(policy: Policy) -> None:
    policy.candidates = 0
    weighted = with_critic_weight(policy, 1.0)
    assert weighted is not None
    assert CANDIDATES > ITEMS
    assert order(weighted.scores(HISTORY)) != order(policy.scores(HISTORY))
    assert policy.candidates == 0


def test_the_weights_of_all_questions_of_a_ranking_policy_change_and_its_own_stay() -> None:
    torch.manual_seed(0)
    policy = ranking(embedding())
    for question in ("next", "liked"):
        weighted = with_critic_weight(serving(policy, question), 3.0)
        assert weighted is not None
        own = policy.weights[question]
        policy.weights[question] = own.model_copy(update={"critic": 3.0})
        expected = serving(policy, question).scores(HISTORY)
        policy.weights[question] = own
        assert torch.equal(weighted.scores(HISTORY), expected)
        assert not torch.equal(serving(policy, question).scores(HISTORY), expected)


def test_an_ensemble_has_a_weight_if_all_members_have_one(policy: Policy) -> None:
    torch.manual_seed(1)
    other = nearest(embedding())
    weighted = with_critic_weight(Ensemble([policy, other]), 0.3)
    members = [one for member in (policy, other) if (one := with_critic_weight(member, 0.3)) is not None]
    assert weighted is not None
    assert torch.equal(weighted.scores(HISTORY), Ensemble(members).scores(HISTORY))
    assert with_critic_weight(Ensemble([policy, nearest(embedding(), critics=False)]), 0.3) is None


def test_methods_without_critics_that_can_re_rank_have_no_weight(policy: Policy) -> None:
    assert with_critic_weight(nearest(embedding(), critics=False), 1.0) is None
    policy.re_rank_by(RankingNetwork(policy.actor.observation_dim, policy.actor.action_dim, 8), 5)
    assert with_critic_weight(policy, 1.0) is None
    learnt = ranking(embedding())
    learnt.params = learnt.params.model_copy(update={"critic_candidates": 0})
    assert with_critic_weight(learnt, 1.0) is None
    assert with_critic_weight(Popularity(torch.ones(ITEMS)), 1.0) is None


def test_without_critics_is_another_policy_only_where_they_count(policy: Policy) -> None:
    without = without_critics(policy)
    assert without is not None
    assert order(without.scores(HISTORY)) == order(policy.nearest.scores(policy.act(HISTORY)))
    policy.candidates = 0
    assert without_critics(policy) is None
    learnt = ranking(embedding())
    assert without_critics(learnt) is not None
    assert without_critics(serving(learnt, "liked")) is None  # its tuned weight is 0
