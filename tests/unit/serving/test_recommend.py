"""One recommender answers all: masks, filters, reasons, values, distances, diversity, and histories that say nothing."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from unit.serving.serving_support import FRAME, ITEMS, make_policy, publish_policy

from evaluation.protocols.distances import DISTANCES, distances_between
from models.histories import Histories
from models.policy import Policy
from models.ranking_policy import RankingPolicy
from models.term_weights import TermWeights
from serving.asking import Question, Rated
from serving.errors import RatingError, UnknownMethodError, UnsuitableMethodError
from serving.loading import load
from serving.recommend import Recommender

HISTORY = ((12, 5.0), (14, 1.0), (20, 4.5), (30, 3.0))


def question(*history: tuple[int, float], **more: object) -> Question:
    rated = [Rated(movie_id=movie_id, rating=rating) for movie_id, rating in history]
    return Question.model_validate({"history": rated, "k": 10, "method": None} | more)


def places(recommender: Recommender, **more: object) -> list[int]:
    return [item.movie_id - 10 for item in recommender.recommend(question(*HISTORY, **more)).items]


def test_items_are_ordered_by_the_policys_scores_without_rated_and_excluded_ones(recommender: Recommender) -> None:
    rewards = torch.tensor([[5.0, -3.0, 4.0, 1.0]])  # 2 * (rating - 2.5)
    scores = recommender.policy.scores(Histories(torch.tensor([[2, 4, 10, 20]]), rewards))[0]
    best, *expected = [int(item) for item in scores.argsort(descending=True) if item not in (2, 4, 10, 20)][:7]
    assert places(recommender, k=6, exclude=[10 + best, 999]) == expected
    answer = recommender.recommend(question(*HISTORY, k=3))
    assert [item.score for item in answer.items] == sorted((item.score for item in answer.items), reverse=True)
    assert answer.digest is not None
    assert (answer.method, answer.note, answer.unknown_ids) == ("policy@champion", None, ())


def test_questions_that_are_answered_together_have_the_answers_of_single_ones(recommender: Recommender) -> None:
    asked = [
        question(*HISTORY),
        question(HISTORY[0]),
        question(),
        question(*HISTORY, distance="manhattan", k=3),
        question((999, 4.0)),
        question(*HISTORY[:3], genres=["sci-fi"]),
        question(*HISTORY, method="popularity"),
        question(*HISTORY, diversity=0.5),
        question(*HISTORY, critic_weight=0.0),
        question(*HISTORY, critic_weight=2.0),
    ]
    together = recommender.answer(asked)
    for one, answer in zip(asked, together, strict=True):
        alone = recommender.recommend(one)
        assert [item.movie_id for item in alone.items] == [item.movie_id for item in answer.items]
        assert [item.because for item in alone.items] == [item.because for item in answer.items]
        assert (alone.method, alone.note, alone.unknown_ids) == (answer.method, answer.note, answer.unknown_ids)


@pytest.mark.parametrize("history", [(), ((999, 4.0), (998, 1.0))], ids=["empty", "all unknown"])
def test_without_known_ratings_popular_items_are_recommended_and_this_is_said(
    recommender: Recommender, history: tuple[tuple[int, float], ...]
) -> None:
    answer = recommender.recommend(question(*history, k=5))
    assert [item.movie_id for item in answer.items] == [10, 11, 12, 13, 14]
    assert (answer.method, answer.digest) == ("popularity", None)
    assert answer.note is not None
    assert answer.unknown_ids == tuple(movie_id for movie_id, _ in history)
    assert answer.items[0].because == ()


def test_unknown_ids_are_listed_and_change_nothing_else(recommender: Recommender) -> None:
    with_unknown = recommender.recommend(question((999, 4.0), *HISTORY, (998, 1.0)))
    assert with_unknown.unknown_ids == (999, 998)
    assert [item.movie_id - 10 for item in with_unknown.items] == places(recommender)


@pytest.mark.parametrize("rating", [0.0, 5.5, 3.7, -1.0])
def test_a_rating_off_the_scale_is_refused(recommender: Recommender, rating: float) -> None:
    with pytest.raises(RatingError, match=rf"history\.1\.rating: expected one of 0\.5, 1 … 5; found {rating:g}"):
        recommender.recommend(question((12, 5.0), (13, rating)))


def test_filters_leave_out_everything_else(recommender: Recommender) -> None:
    assert set(places(recommender, genres=["SCI-FI", "crime"])) <= {0, 1, 5}
    assert places(recommender, genres=["nothing"]) == []
    found = recommender.recommend(question(*HISTORY, k=ITEMS, year_from=1999, year_to=2003)).items
    assert found
    assert all(item.year is not None and 1999 <= item.year <= 2003 for item in found)
    assert 6 not in places(recommender, k=ITEMS, year_from=0)
    assert 6 in places(recommender, k=ITEMS)


def test_k_beyond_the_catalogue_gives_all_that_is_left(recommender: Recommender) -> None:
    assert sorted(places(recommender, k=1000)) == [item for item in range(ITEMS) if item not in (2, 4, 10, 20)]


def test_the_reason_is_the_nearest_liked_item(recommender: Recommender) -> None:
    unit = normalize(recommender.catalogue.embedding, dim=1)
    for item in recommender.recommend(question(*HISTORY)).items:
        cosine = unit[item.movie_id - 10] @ unit[[2, 10]].T  # those rated 4 or better
        assert [one.movie_id - 10 for one in item.because] == [
            [2, 10][place] for place in cosine.argsort(descending=True)
        ]
        assert item.because[0].similarity == pytest.approx(float(cosine.max()), abs=1e-4)
    disliked = recommender.recommend(question((14, 1.0))).items[0].because
    assert [(one.movie_id, one.title, one.rating) for one in disliked] == [(14, "Solaris", 1.0)]


def test_the_value_is_the_lesser_one_of_the_policys_critics(recommender: Recommender) -> None:
    policy = recommender.policy
    assert isinstance(policy, Policy)
    assert policy.critics is not None
    item = recommender.recommend(question(*HISTORY)).items[0]
    observation = policy.observations(Histories(torch.tensor([[4, 10, 20]]), torch.tensor([[-3.0, 4.0, 1.0]])))
    values = policy.critics(observation, policy.embedding[[item.movie_id - 10]])
    assert item.value == pytest.approx(float(values.detach().min()), abs=1e-5)
    assert recommender.recommend(question(*HISTORY, method="popularity")).items[0].value is None


def test_only_recommended_items_are_valued(recommender: Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [question(*HISTORY, k=2, diversity=0.5), question(*HISTORY[:3], k=3), question(HISTORY[0], k=2)]
    alone = [[item.value for item in recommender.recommend(one).items] for one in asked]
    policy, valued = recommender.policy, []
    assert isinstance(policy, Policy)
    item_values = policy.item_values

    def recorded(histories: Histories, items: torch.Tensor) -> torch.Tensor | None:
        valued.append(tuple(items.shape))
        return item_values(histories, items)

    monkeypatch.setattr(policy, "item_values", recorded)
    for values, answer in zip(alone, recommender.answer(asked), strict=True):
        assert [item.value for item in answer.items] == pytest.approx(values, abs=1e-5)
    assert sorted(valued) == [(1, 3), (2, 2)]


@pytest.mark.parametrize("distance", DISTANCES)
def test_items_can_be_ranked_by_any_of_the_eight_distances(recommender: Recommender, distance: str) -> None:
    policy = recommender.policy
    assert isinstance(policy, Policy)
    action = policy.act(Histories(torch.tensor([[4, 10, 20]]), torch.tensor([[-3.0, 4.0, 1.0]])))
    apart = distances_between(distance, action, recommender.catalogue.embedding)[0]  # type: ignore[arg-type]
    apart[[2, 4, 10, 20]] = torch.inf
    assert places(recommender, distance=distance, k=5) == apart.float().argsort(stable=True)[:5].tolist()


def test_the_weight_of_the_critics_moves_items_between_the_order_of_scores_and_that_of_values(
    recommender: Recommender,
) -> None:
    policy = recommender.policy
    assert isinstance(policy, Policy)
    near = places(recommender, distance="cosine", k=8)  # the policy ranks by cosine
    values = {
        weight: [item.value for item in recommender.recommend(question(*HISTORY, critic_weight=weight, k=5)).items]
        for weight in (0.0, 1.0, 100.0)
    }
    assert places(recommender, critic_weight=0.0, k=8) == near
    assert values[100.0] == sorted(values[100.0], reverse=True)
    assert values[0.0] != values[1.0] != values[100.0]
    assert places(recommender, critic_weight=100.0) == places(recommender)  # tuned: by value alone
    assert sorted(places(recommender, critic_weight=100.0, k=5)) == sorted(near[:5])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"distance": "cosine", "method": "popularity"}, "distance: expected a policy"),
        ({"critic_weight": 1.0, "method": "popularity"}, "critics that can re-rank; found 'popularity'"),
        ({"critic_weight": 1.0, "distance": "cosine"}, "critic_weight: expected no distance"),
    ],
)
def test_what_a_method_does_not_have_is_refused(
    recommender: Recommender, asked: dict[str, object], message: str
) -> None:
    with pytest.raises(UnsuitableMethodError, match=message):
        recommender.recommend(question(*HISTORY, **asked))


def test_an_unknown_method_is_refused(recommender: Recommender) -> None:
    with pytest.raises(UnknownMethodError, match=r"expected one of policy@champion, popularity; found 'x'"):
        recommender.recommend(question(*HISTORY, method="x"))


def test_diversity_gives_lists_that_are_less_alike(recommender: Recommender) -> None:
    unit = normalize(recommender.catalogue.embedding, dim=1)

    def likeness(diversity: float) -> float:
        chosen = unit[places(recommender, diversity=diversity)]
        return float((chosen @ chosen.T).triu(1).sum())

    assert likeness(1.0) < likeness(0.5) < likeness(0.0)
    assert places(recommender, diversity=0.7)[0] == places(recommender)[0]


def test_a_history_shorter_than_a_frame_begins_with_its_oldest_event_again(recommender: Recommender) -> None:
    assert FRAME == 3
    repeated = recommender.recommend(question((12, 5.0), (12, 5.0), (20, 2.0)))
    short = recommender.recommend(question((12, 5.0), (20, 2.0)))
    assert [item.score for item in short.items] == [item.score for item in repeated.items]


def test_a_ranking_policy_answers_each_question_with_the_weights_for_it(tmp_path: Path, published: str) -> None:
    publish_policy(tmp_path / "maker", make_policy(tmp_path / "maker", "ranking"), published, "latest")
    recommender = load(published, "policy@latest")
    policy = recommender.policy
    assert isinstance(policy, RankingPolicy)
    policy.weights["liked"] = TermWeights(taste=1.0)
    unit, history = recommender.catalogue.unit, [2, 4, 10, 20]
    taste = (unit @ unit[history].T).mean(1)
    taste[history] = -torch.inf
    asked = [question(*HISTORY, serve_for=one, k=5) for one in ("liked", "next")]
    liked, following = ([item.movie_id - 10 for item in answer.items] for answer in recommender.answer(asked))
    assert liked == taste.argsort(descending=True)[:5].tolist()
    assert following != liked


def test_scores_and_values_share_the_states_of_the_histories(tmp_path: Path, published: str) -> None:
    publish_policy(tmp_path / "maker", make_policy(tmp_path / "maker", "ranking"), published, "latest")
    recommender = load(published, "policy@latest")
    policy = recommender.policy
    assert isinstance(policy, RankingPolicy)
    encoded = []
    policy.state_encoder.register_forward_hook(lambda module, given, states: encoded.append(len(states)))
    answers = recommender.answer([question(*HISTORY), question(*HISTORY[:2])])
    assert encoded == [2]
    assert all(item.value is not None for answer in answers for item in answer.items)


def test_a_ranking_policy_has_values_of_its_critics(tmp_path: Path, published: str) -> None:
    publish_policy(tmp_path / "maker", make_policy(tmp_path / "maker", "ranking"), published, "latest")
    answer = load(published, "policy@latest").recommend(question(*HISTORY))
    assert all(item.value is not None and np.isfinite(item.value) for item in answer.items)
    json.loads(answer.model_dump_json())
