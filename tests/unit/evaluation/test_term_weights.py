"""The weights of a ranking policy's terms: tuned exactly, on validation users, once for each question."""

from pathlib import Path

import pytest
import torch
from rankings_support import small_dataset

from evaluation.evaluate import timed_ranking
from evaluation.protocols.cases import fold_in_cases, mult_vae_cases, next_item_cases, validation_cases
from evaluation.protocols.metrics import mult_vae_per_user
from evaluation.protocols.per_user import means
from evaluation.protocols.ranking import rank_cases
from evaluation.protocols.validation import validation_metrics
from evaluation.report.evidence import ComparedMethod
from evaluation.serve_for_cases import ORIGINS, Asked, asked_of_validation_users, serve_for_of
from evaluation.term_weights import COST, Candidate, Tuning, tune_weights
from models.learners.ranking_config import RankingConfig
from models.ranking_policy import RankingPolicy
from models.serve_for import SERVE_FOR, ServeFor
from models.term_weights import TermWeights
from storage.dataset.reader import TransitionDataset
from tasks.learning import make_learning


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TransitionDataset:
    return small_dataset(tmp_path_factory.mktemp("data") / "t.h5", users=120)


@pytest.fixture
def policy(data: TransitionDataset) -> RankingPolicy:
    settings = {"policy": {"width": 4, "critic_width": 4, "critic_candidates": 20}, "kernel": {"min_count": 1}}
    made = make_learning(RankingConfig.model_validate(settings), data, 16, "cosine", "cpu", 0).policy
    assert isinstance(made, RankingPolicy)
    return made.eval()


def tuning_of(policy: RankingPolicy, data: TransitionDataset, question: ServeFor) -> Tuning:
    asked = asked_of_validation_users(data, question, policy.known, 60, 0)
    with torch.no_grad():
        return Tuning(policy, data, question, asked, "ndcg@10", policy.params.terms)


def test_what_tuning_measures_is_the_metric_of_the_policy_with_these_weights(
    policy: RankingPolicy, data: TransitionDataset
) -> None:
    tuning = tuning_of(policy, data, "next")
    weights = torch.tensor([0.4, 0.1, 1.0, 0.2, 0.7, 0.1, 0.2])
    found, _ = tuning.measure(Candidate(weights, critic=0.2, cold=0.3))
    raw = dict(zip(policy.params.terms, (weights / tuning.scale).tolist(), strict=True))
    policy.weights["next"] = TermWeights(**raw, critic=0.2, cold=0.3)
    assert found == pytest.approx(validation_metrics(data, policy, validation_cases(data, 60, 0))["ndcg@10"], abs=1e-6)
    tried = tuning.values_of(weights, 2)
    assert tried[5] == pytest.approx(tuning.measure(Candidate(weights))[0])  # its weight is 1 already
    assert len(set(tried)) > 1


def test_what_is_liked_is_measured_by_mult_vaes_protocol(
    policy: RankingPolicy, data: TransitionDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluation.serve_for_cases.MULT_VAE_DRAWS", 1)
    tuning = tuning_of(policy, data, "liked")
    weights = torch.tensor([0.4, 0.1, 1.0, 0.2, 0.7, 0.1, 0.2])
    policy.weights["liked"] = TermWeights(
        **dict(zip(policy.params.terms, (weights / tuning.scale).tolist(), strict=True))
    )
    ranked = rank_cases(data, policy.serving("liked"), mult_vae_cases(data, "validation", 0))
    expected = means(mult_vae_per_user(ranked))["ndcg@100"]
    assert tuning.measure(Candidate(weights))[0] == pytest.approx(expected, abs=1e-6)


def test_no_question_is_answered_worse_than_by_the_best_single_term(
    policy: RankingPolicy, data: TransitionDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluation.term_weights.LEAST_USERS", 2)
    found = tune_weights(policy, data, "ndcg@10", 60, 0)
    assert [one.question for one in found] == list(SERVE_FOR)
    now = validation_metrics(data, policy, validation_cases(data, 60, 0))["ndcg@10"]
    assert now == pytest.approx(found[0].value, abs=1e-5)
    for one in found:
        tuning = tuning_of(policy, data, one.question)
        with torch.no_grad():
            singles = [tuning.measure(Candidate(term))[0] for term in torch.eye(len(policy.params.terms))]
        assert one.value >= max(singles) * (1 - COST) - 1e-6
        assert sum(one.shares.values()) == pytest.approx(1, abs=0.01)
        assert one.learnt == one.shares["actor"]
        assert policy.weights[one.question].critic == one.critic
        assert one.same_as is None


@pytest.mark.parametrize("cost", [COST, 1.0])
def test_cold_items_are_listed_as_often_as_they_are_chosen_if_that_costs_little(
    policy: RankingPolicy, data: TransitionDataset, cost: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evaluation.term_weights.COST", cost)
    cold = torch.arange(0, data.items, 3)
    known = policy.known._replace(log_count=policy.log_count.clone().index_fill_(0, cold, 0.0))
    asked = [Asked(validation_cases(data, 100, 0), known)]
    with torch.no_grad():
        tuning = Tuning(policy, data, "next", asked, "ndcg@10", policy.params.terms)
        chosen, value, listed = tuning.best()
        without = tuning.measure(chosen._replace(cold=0.0))
        everything = tuning.measure(chosen._replace(cold=1000.0))
    assert without[1] <= listed <= tuning.sought < everything[1]
    assert value >= without[0] * (1 - cost)
    assert (listed > without[1]) == (cost == 1.0)  # here even few of them cost much
    assert everything[1] == pytest.approx(1.0)


def test_terms_that_are_left_out_have_no_weight(policy: RankingPolicy, data: TransitionDataset) -> None:
    before = dict(policy.weights)
    tune_weights(policy, data, "ndcg@10", 30, 0, ("next",), ("actor", "popularity"))
    assert {name for name, _ in policy.weights["next"].used()} <= {"actor", "popularity"}
    assert {name: policy.weights[name] for name in SERVE_FOR[1:]} == {name: before[name] for name in SERVE_FOR[1:]}


def test_a_question_that_few_validation_users_ask_gets_the_weights_of_next(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "t.h5", users=60)
    settings = {"policy": {"width": 4, "critic_width": 4}, "kernel": {"min_count": 1}}
    policy = make_learning(RankingConfig.model_validate(settings), data, 16, "cosine", "cpu", 0).policy
    assert isinstance(policy, RankingPolicy)
    found = tune_weights(policy, data, "ndcg@10", 30, 0)
    assert [one.same_as for one in found] == [None, "next", "next", "next"]
    assert all(policy.weights[question] == policy.weights["next"] for question in SERVE_FOR)


@pytest.mark.parametrize("question", SERVE_FOR)
def test_weights_are_tuned_on_validation_users_before_the_time_cut(
    policy: RankingPolicy, data: TransitionDataset, question: ServeFor
) -> None:
    asked = asked_of_validation_users(data, question, policy.known, 1000, 0)
    assert asked
    for cases, _ in asked:
        events, _ = cases.target_events()
        users = data.users_of(events)
        assert (data.user_split[users.numpy()] == 1).all()
        assert (events < data.timely_end[users]).all()


def test_what_is_new_is_asked_of_a_policy_that_knows_the_past_alone(
    policy: RankingPolicy, data: TransitionDataset
) -> None:
    times = torch.from_numpy(data.timestamps())
    _, items, _, known_times = data.training_events()
    asked = asked_of_validation_users(data, "new", policy.known, 1000, 0)
    assert 1 < len(asked) <= len(ORIGINS)
    for cases, known in asked:
        events, _ = cases.target_events()
        counts = known.log_count.expm1().round()
        until = known_times.sort().values[int(counts.sum()) - 1]
        assert torch.equal(counts.long(), torch.bincount(items[known_times <= until], minlength=data.items))
        assert (times[events] > until).all()
        assert known.cold.sum() >= policy.known.cold.sum()


def test_an_evaluation_uses_the_weights_for_the_question_of_its_protocol(
    policy: RankingPolicy, data: TransitionDataset
) -> None:
    for place, question in enumerate(SERVE_FOR):
        policy.weights[question] = TermWeights(content=1.0, popularity=float(place))
    for cases in (mult_vae_cases(data, "test"), fold_in_cases(data, "test"), next_item_cases(data, "time", 5)):
        found, _ = timed_ranking(data, ComparedMethod("ranking", "policy", policy), cases)
        question = serve_for_of(cases)
        assert (found.best == rank_cases(data, policy.serving(question), cases).best).all()
        assert (found.best != rank_cases(data, policy, cases).best).any()


def test_every_protocol_asks_its_question(data: TransitionDataset) -> None:
    assert serve_for_of(next_item_cases(data, "test", 5)) == "next"
    assert serve_for_of(next_item_cases(data, "validation", 5)) == "next"
    assert serve_for_of(fold_in_cases(data, "test")) == "later"
    assert serve_for_of(mult_vae_cases(data, "test")) == "liked"
    assert serve_for_of(next_item_cases(data, "time", 5)) == serve_for_of(fold_in_cases(data, "time")) == "new"
