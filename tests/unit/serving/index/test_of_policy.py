"""What an item index of a policy holds."""

import pytest
import torch
from unit.serving.serving_support import ITEMS, embedding, nearest, ranking

from models.ensemble import Ensemble
from models.errors import PolicyError
from models.histories import Histories
from models.term_weights import TermWeights
from serving.index.item_index import ExactIndex
from serving.index.of_policy import query_vectors, searched_vectors

PROBE = Histories(torch.arange(15).view(3, 5) * 2, torch.ones(3, 5))


def test_the_nearest_items_of_an_action_are_those_that_the_policy_ranks_first() -> None:
    policy = nearest(embedding(), critics=False)
    vectors, measure = searched_vectors(policy)
    index = ExactIndex(torch.nn.functional.normalize(vectors, dim=1).numpy(), measure)
    found = index.search(query_vectors(policy, PROBE), 5)
    best = policy.scores(PROBE).topk(5)
    assert torch.equal(found.items, best.indices)
    torch.testing.assert_close(found.scores, best.values)


def test_an_index_holds_the_weighted_terms_of_a_ranking_policy_that_are_an_inner_product() -> None:
    policy = ranking(embedding())
    weights = TermWeights(actor=0.3, popularity=2.0, recent_popularity=0.7, cold=1.5)
    policy.weights["next"] = weights
    with torch.no_grad():
        policy.free.normal_()
    vectors, measure = searched_vectors(policy)
    index = ExactIndex(vectors.numpy(), measure)
    found = index.search(query_vectors(policy, PROBE), ITEMS)
    torch.testing.assert_close(found.scores, policy.scores(PROBE).gather(1, found.items))

    policy.weights["next"] = weights.model_copy(update={"actor": 0.0})
    with pytest.raises(PolicyError, match="found a ranking policy whose weight of the action is 0"):
        searched_vectors(policy)


def test_a_policy_without_nearness_has_no_index() -> None:
    ensemble = Ensemble([nearest(embedding()), nearest(embedding())])
    for use in (lambda: searched_vectors(ensemble), lambda: query_vectors(ensemble, PROBE)):
        with pytest.raises(PolicyError, match="found Ensemble"):
            use()
