"""The policy that ranks by a score of every item: its terms, its states, its weights, its file."""

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from unit.models.ranking_support import DATA, DIM, ITEMS, LENGTH, SMALL, config, learner_of, pieces, train

from models.baselines.training import rows_of_items
from models.diagnostics import diagnose
from models.errors import LearnerError
from models.histories import Histories
from models.learners.gru4rec import Gru4RecConfig
from models.learners.ranking_config import RankingConfig
from models.learners.sasrec import SasRecConfig
from models.ranking_policy import RankingPolicy
from models.serve_for import SERVE_FOR
from models.states import LONGEST, make_state
from models.term_weights import TermWeights
from models.translated import Translated

WEIGHTS = TermWeights(
    actor=2.0,
    popularity=0.25,
    transitions=0.5,
    associations=1.5,
    content=2.0,
    taste=3.0,
    recent_popularity=0.75,
    cold=1.25,
)


@pytest.mark.parametrize("state", ["frame", "gru", "attention"])
def test_the_scores_are_the_weighted_sum_of_their_terms(state: str) -> None:
    policy = learner_of(config(policy={"state": state})).policy.eval()
    policy.weights["liked"] = WEIGHTS
    batch = pieces(6, seed=3)
    known = Histories(batch.items[:, :-1], batch.rewards[:, :-1])
    scores, fitted = policy.serving("liked").scores(known), policy.fitted
    row = rows_of_items(fitted.items, ITEMS).tolist()
    with torch.no_grad():
        action = policy.actions(policy.states(*known)[:, -1])
        for place, history in enumerate(known.items.tolist()):
            for item in (0, 7, ITEMS - 1):
                events = [(age, other) for age, other in enumerate(reversed(history)) if other >= 0]
                alike = [(0.7**age, float(policy.unit[other] @ policy.unit[item])) for age, other in events]
                expected = 2.0 * sum(weight * one for weight, one in alike)
                expected += 3.0 * sum(one for _, one in alike) / len(alike)
                if row[item] >= 0:
                    cells = [(0.78**age, (row[other], row[item])) for age, other in events]
                    follows = sum(weight * float(fitted.transitions[cell]) for weight, cell in cells)
                    expected += 0.5 * math.copysign(abs(follows) ** 0.5, follows)
                    expected += 1.5 * sum(float(fitted.associations[cell]) for _, cell in cells)
                expected += 2 * float(policy.action_scale * (action[place] @ policy.vectors()[item]))
                expected += 0.25 * float(policy.popularity * policy.log_count[item])
                expected += 0.75 * math.log1p(int((DATA.items[-DATA.items.numel() // 10 :] == item).sum()))
                expected += 1.25 * (item == ITEMS - 1)
                assert float(scores[place, item]) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_each_question_has_its_own_weights_and_shares_the_tensors() -> None:
    policy = learner_of(config()).policy.eval()
    probe = pieces(4)
    known = Histories(*probe.before)
    before = policy.scores(known)
    policy.weights["liked"] = WEIGHTS
    liked = policy.serving("liked")
    assert torch.equal(policy.scores(known), before)
    assert not torch.equal(liked.scores(known), before)
    assert torch.equal(policy.serving("next").scores(known), before)
    with torch.no_grad():
        policy.popularity.add_(1.0)
    assert liked.popularity is policy.popularity
    own = torch.arange(ITEMS)
    other = Translated(policy, own, 1).serving("liked")
    assert torch.equal(other.scores(known), liked.scores(known))


def test_states_of_some_histories_are_computed_once_and_others_as_always() -> None:
    policy = learner_of(config()).policy.eval()
    first, second = (Histories(*pieces(4, seed=seed).before) for seed in (0, 1))
    with torch.no_grad():
        view = policy.encoding(first)
        assert view.state(first) is view.state(first)
        assert torch.equal(view.state(second), policy.state(second))
    assert torch.equal(view.scores(first), policy.scores(first))
    assert torch.equal(view.act(second), policy.act(second))


@pytest.mark.parametrize("state", ["frame", "gru", "attention"])
def test_a_state_does_not_see_what_comes_after_it(state: str) -> None:
    policy = learner_of(config(policy={"state": state})).policy.eval()
    batch = pieces(4, seed=1)
    states = policy.states(batch.items, batch.rewards)
    later = batch.items.clone()
    later[:, -1] = (later[:, -1] + 7) % ITEMS
    torch.testing.assert_close(policy.states(later, batch.rewards)[:, :-1], states[:, :-1])
    assert not torch.equal(policy.states(later, batch.rewards)[:, -1], states[:, -1])


@pytest.mark.parametrize("state", ["frame", "gru", "attention"])
@pytest.mark.parametrize("training", [False, True])
def test_filling_up_changes_no_state(state: str, training: bool) -> None:
    policy = learner_of(config(policy={"state": state, "dropout": 0.0})).policy.train(training)
    if state == "attention" and training:
        policy.state_encoder.requires_grad_(False).eval()  # its own dropout
    batch = pieces(6, seed=7)
    batch.items[0, :-3], batch.rewards[0, :-3] = -1, 0
    batch.items[1], batch.rewards[1] = -1, 0
    states = policy.states(batch.items, batch.rewards)
    more = torch.full((6, 5), -1)
    longer = policy.states(torch.cat((more, batch.items), 1), torch.cat((more * 0.0, batch.rewards), 1))
    torch.testing.assert_close(longer[:, 5:], states, rtol=1e-4, atol=1e-6)
    alone = policy.states(batch.items[:1, -3:], batch.rewards[:1, -3:])
    torch.testing.assert_close(alone, states[:1, -3:], rtol=1e-4, atol=1e-6)
    assert not states[1].any()
    assert torch.isfinite(states).all()


def test_items_that_had_not_been_rated_at_a_time_have_no_row_and_no_own_vector_then() -> None:
    learner = learner_of(config())
    train(learner, 3)
    policy = learner.policy.eval()
    histories = Histories(*pieces(4).before)
    early = policy.known._replace(log_count=policy.log_count.clone().index_fill_(0, torch.arange(5, 20), 0.0))
    with torch.no_grad():
        state = policy.state(histories)
        for name in ("transitions", "associations"):
            then, now = (policy.term(name, histories, state, known) for known in (early, policy.known))
            assert now[:, 5:20].any()
            assert not then[:, 5:20].any()
            assert torch.equal(then[:, 20:], now[:, 20:])
        assert torch.equal(policy.vectors(early)[5:20], policy.unit[5:20])
        assert not torch.equal(policy.vectors()[5:20], policy.unit[5:20])


def test_transitions_alone_know_which_item_follows() -> None:
    policy = learner_of(config()).policy
    policy.weights["next"] = TermWeights(transitions=1.0)
    batch = pieces(40, seed=99)
    scores = policy.scores(Histories(batch.items[:, :-1], batch.rewards[:, :-1]))
    assert (scores.argmax(1) == batch.items[:, -1]).float().mean() > 0.8


def test_items_nobody_rated_are_scored_by_their_content() -> None:
    learner = learner_of(config())
    train(learner, 30)
    cold = ITEMS - 1
    assert not learner.policy.vectors()[cold].equal(learner.policy.free[cold])
    torch.testing.assert_close(learner.policy.vectors()[cold], learner.policy.unit[cold])
    near = int((learner.policy.unit[:-1] @ learner.policy.unit[cold]).argmax())
    far = int((learner.policy.unit[:-1] @ learner.policy.unit[cold]).argmin())
    scores = learner.policy.scores(Histories(torch.tensor([[near] * 3, [far] * 3]), torch.full((2, 3), 4.0)))
    assert scores[0, cold] > scores[1, cold]


def test_a_history_may_be_as_long_as_there_are_places() -> None:
    state = make_state("attention", DIM, 12, 4)
    vectors, rewards = torch.zeros(1, LONGEST + 1, DIM), torch.zeros(1, LONGEST + 1)
    assert state(vectors, rewards, rewards == 0).shape == (1, LONGEST + 1, 12)


@pytest.mark.parametrize("shown", [LENGTH, LENGTH + 12])
def test_the_critic_only_reorders_the_best_of_what_is_unseen(shown: int) -> None:
    plain = learner_of(config())
    train(plain, 10)
    changed = plain.policy.config()
    changed["policy"] |= {"critic_candidates": 7}
    changed["weights"]["next"] |= {"critic": 5.0}
    mixed = RankingPolicy.from_tensors(changed, plain.policy.tensors(), DATA.embedding)
    probe = pieces(12, seed=4)
    earlier = torch.arange(shown - LENGTH).expand(12, -1)  # beyond what the state sees, and seen nevertheless
    items = torch.cat((earlier.where(probe.items[:, :1] >= 0, -1), probe.items[:, :-1]), 1)
    known = Histories(items, torch.cat((torch.ones(earlier.shape), probe.rewards[:, :-1]), 1))
    unmixed = RankingPolicy.from_tensors(plain.policy.config(), plain.policy.tensors(), DATA.embedding)
    first, second = unmixed.scores(known), mixed.scores(known)
    seen = torch.zeros(12, ITEMS + 1, dtype=torch.bool).scatter(1, items.where(items >= 0, ITEMS), True)[:, :-1]
    top, again = (scores.masked_fill(seen, -torch.inf).topk(7).indices for scores in (first, second))
    assert torch.equal(top.sort().values, again.sort().values)
    assert not torch.equal(top, again)
    rest = torch.ones_like(first, dtype=torch.bool).scatter(1, top, False)
    assert rest[seen].all()
    assert torch.equal(first[rest], second[rest])


def test_the_critic_reorders_what_little_is_unseen() -> None:
    learner = learner_of(config())
    known = Histories(torch.stack((torch.arange(ITEMS - 3), torch.arange(ITEMS - 3))), torch.ones(2, ITEMS - 3))
    whole = Histories(torch.arange(ITEMS).unsqueeze(0), torch.ones(1, ITEMS))
    scores = {mix: [] for mix in (0.0, 5.0)}  # type: dict[float, list[torch.Tensor]]
    for mix, found in scores.items():
        learner.policy.weights["next"] = TermWeights(actor=1.0, popularity=1.0, transitions=1.0, critic=mix)
        found += [learner.policy.scores(known), learner.policy.scores(whole)]
    assert torch.equal(scores[0.0][0][:, :-3], scores[5.0][0][:, :-3])
    assert torch.isfinite(scores[5.0][0]).all()
    assert not torch.equal(scores[0.0][0], scores[5.0][0])
    assert torch.equal(scores[0.0][1], scores[5.0][1])


@pytest.mark.parametrize("settings", [Gru4RecConfig, SasRecConfig])
def test_baselines_have_neither_fitted_terms_nor_critics(settings: type[RankingConfig], tmp_path: Path) -> None:
    learner = learner_of(settings.model_validate({"policy": SMALL}))
    critics = [value.clone() for value in learner.policy.critics.parameters()]
    train(learner, 3)
    assert all(torch.equal(now, then) for now, then in zip(learner.policy.critics.parameters(), critics, strict=True))
    assert not any("critic" in name or "value" in name for name in learner.losses(pieces(5)))
    assert not any(name.startswith("value") for name in diagnose(learner.compare(pieces(5))))
    assert learner.policy.params.terms == ("actor", "popularity")
    assert learner.policy.params.critic_candidates == 0
    save_file(learner.policy.tensors(), tmp_path / "policy.safetensors")
    kept = load_file(tmp_path / "policy.safetensors")
    assert [kept[f"fitted.{name}"].numel() for name in ("transitions", "associations", "items")] == [0, 0, 0]
    again = RankingPolicy.from_tensors(learner.policy.config(), kept, DATA.embedding)
    probe = pieces(5)
    known = Histories(probe.items[:, :-1], probe.rewards[:, :-1])
    torch.testing.assert_close(again.scores(known), learner.policy.scores(known))


def test_round_trip_through_safetensors(tmp_path: Path) -> None:
    learner = learner_of(config())
    train(learner, 5)
    learner.policy.weights["new"] = WEIGHTS
    save_file(learner.policy.tensors(), tmp_path / "policy.safetensors")
    kept = load_file(tmp_path / "policy.safetensors")
    again = RankingPolicy.from_tensors(json.loads(json.dumps(learner.policy.config())), kept, DATA.embedding)
    assert torch.equal(again.vectors(), learner.policy.vectors())
    assert again.vectors() is again.vectors()  # computed once, as a stored policy is not trained further
    probe = pieces(5)
    known = Histories(probe.items[:, :-1], probe.rewards[:, :-1])
    for question in SERVE_FOR:
        mine, theirs = (one.serving(question).scores(known) for one in (learner.policy, again))
        torch.testing.assert_close(theirs, mine, rtol=1e-2, atol=2e-2)
    for name in ("transitions", "associations"):  # as in the file, so that the server's memory is half as large
        assert getattr(again.fitted, name).dtype == torch.float16
        setattr(learner.policy.fitted, name, getattr(learner.policy.fitted, name).half().float())
    for question in SERVE_FOR:
        mine, theirs = (one.serving(question).scores(known) for one in (learner.policy, again))
        torch.testing.assert_close(theirs, mine, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(again.act(known), learner.policy.act(known))
    with pytest.raises(LearnerError, match="format"):
        RankingPolicy.from_tensors({"format": "marquee-ranking-policy/5"}, {}, DATA.embedding)
    with pytest.raises(LearnerError, match="fit its config"):
        RankingPolicy.from_tensors(learner.policy.config(), {}, DATA.embedding)
