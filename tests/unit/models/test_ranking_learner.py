"""The learner that ranks: its scores, its losses, what the conformance suite asks of every learner."""

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy, normalize

from models.baselines.training import TrainingData
from models.batch import Sequences
from models.diagnostics import diagnose
from models.errors import LearnerError
from models.histories import Histories
from models.learners.gru4rec import Gru4RecConfig
from models.learners.negatives import Negatives
from models.learners.ranking import Ranking
from models.learners.ranking_config import RankingConfig
from models.learners.sasrec import SasRecConfig
from models.learners.smoothing import smoothed
from models.ranking_policy import RankingPolicy, tune_weights
from models.space import Space
from models.states import LONGEST, make_state

ITEMS, DIM, LENGTH = 40, 6, 8
SMALL = {"width": 12, "length": LENGTH, "frame": 4, "critic_width": 16}


def config(**changes: Any) -> RankingConfig:
    policy = SMALL | changes.pop("policy", {})
    kernel = {"min_count": 1, "window": 5}
    return RankingConfig.model_validate({"policy": policy, "kernel": kernel, "negatives": 15} | changes)


def world(users: int = 30, seed: int = 0) -> TrainingData:
    """Whoever had item i has item i + 1 next, but for the last item, which nobody has."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.randint(ITEMS - 1, (users, 1), generator=generator)
    items = (first + torch.arange(20)) % (ITEMS - 1)
    rewards = torch.randint(-4, 6, items.shape, generator=generator).float()
    embedding = torch.randn((ITEMS, DIM), generator=generator)
    count = items.numel()
    return TrainingData(
        torch.arange(users).repeat_interleave(20), items.flatten(), rewards.flatten(), torch.arange(count), embedding
    )


DATA = world()
SPACE = Space.of(DATA.embedding, 4, (-4.0, 5.0))


def pieces(rows: int, seed: int = 0) -> Sequences:
    generator = torch.Generator().manual_seed(seed)
    users = torch.randint(30, (rows,), generator=generator)
    ends = torch.randint(5, 21, (rows,), generator=generator)
    items, rewards = torch.full((rows, LENGTH + 1), -1), torch.zeros(rows, LENGTH + 1)
    for row, (user, end) in enumerate(zip(users.tolist(), ends.tolist(), strict=True)):
        taken = slice(user * 20 + max(0, end - LENGTH - 1), user * 20 + end)
        count = taken.stop - taken.start
        items[row, -count:], rewards[row, -count:] = DATA.items[taken], DATA.rewards[taken]
    return Sequences(items, rewards, (ends == 20).float())


def learner_of(settings: RankingConfig, seed: int = 0) -> Ranking:
    return Ranking(settings, SPACE, DATA, "cpu", seed)


def train(learner: Ranking, steps: int, first: int = 0) -> dict[str, torch.Tensor]:
    return [learner.update(pieces(8, seed=step)) for step in range(first, first + steps)][-1]


@pytest.mark.parametrize("state", ["frame", "gru", "attention"])
def test_the_scores_are_their_terms_in_their_shares(state: str) -> None:
    policy = learner_of(config(policy={"state": state, "fitted": 0.5, "actor": 2.0, "popularity": 0.25})).policy.eval()
    batch = pieces(6, seed=3)
    known = Histories(batch.items[:, :-1], batch.rewards[:, :-1])
    scores = policy.scores(known)
    with torch.no_grad():
        action = policy.actions(policy.states(*known)[:, -1])
        for row, history in enumerate(known.items.tolist()):
            for item in (0, 7, ITEMS - 1):
                events = [(age, other) for age, other in enumerate(reversed(history)) if other >= 0]
                like = sum(0.7**age * float(policy.unit[other] @ policy.unit[item]) for age, other in events)
                follows = 0.0
                if policy.row[item] >= 0:
                    follows = sum(
                        0.78**age * float(policy.kernel[policy.row[other], policy.row[item]]) for age, other in events
                    )
                expected = 0.5 * (4 * like + math.copysign(abs(follows) ** 0.5, follows))
                expected += 2 * float(policy.action_scale * (action[row] @ policy.vectors()[item]))
                expected += 0.25 * float(policy.popularity * policy.log_count[item])
                assert float(scores[row, item]) == pytest.approx(expected, rel=1e-3, abs=1e-3)


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


@pytest.mark.parametrize("state", ["frame", "gru", "attention"])
def test_the_last_action_is_learnt_in_the_state_that_ranking_is_in(state: str) -> None:
    learner = learner_of(config(policy={"state": state}))
    batch = pieces(6, seed=8)
    given: list[torch.Tensor] = []
    learner.policy.head.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
    learner.losses(batch)
    learner.policy.scores(Histories(*batch.before))
    of_learning, of_ranking = given
    torch.testing.assert_close(of_learning[:, -1], of_ranking)
    before = {name: value.clone() for name, value in learner.policy.state_encoder.named_parameters()}
    train(learner, 1)
    for name, value in learner.policy.state_encoder.named_parameters():
        moved = (value != before[name])[0]  # of places, that of the newest event
        assert moved.any(), name


@pytest.mark.timeout(120)
@pytest.mark.parametrize("state", ["frame", "gru", "attention"])
@pytest.mark.parametrize("embeddings", [True, False])
def test_learns_which_item_follows(state: str, embeddings: bool) -> None:
    policy = {"state": state, "dropout": 0.0, "embeddings": embeddings}
    learner = learner_of(config(policy=policy, learning_rate=1e-2))
    train(learner, 250)
    batch = pieces(40, seed=99)
    scores = learner.policy.scores(Histories(batch.items[:, :-1], batch.rewards[:, :-1]))
    found = (scores.argmax(1) == batch.items[:, -1]).float().mean()
    assert found > 0.8, found


def test_the_fitted_term_alone_knows_which_item_follows() -> None:
    learner = learner_of(config(policy={"fitted": 1.0, "actor": 0.0, "popularity": 0.0, "content": 0.0}))
    batch = pieces(40, seed=99)
    scores = learner.policy.scores(Histories(batch.items[:, :-1], batch.rewards[:, :-1]))
    assert (scores.argmax(1) == batch.items[:, -1]).float().mean() > 0.8


def test_the_sampled_loss_agrees_with_the_whole_softmax() -> None:
    """Drawn negatives stand for the catalogue: with many draws the loss comes near the exact one."""
    exact, sampled = learner_of(config(negatives=ITEMS)), learner_of(config(negatives=39))
    batch = pieces(32, seed=5)
    states = exact.policy.eval().states(*batch.before)
    with torch.no_grad():
        whole, _ = exact.actor_loss(batch, states)
        sampled.policy.eval()
        drawn = torch.stack([sampled.actor_loss(batch, states)[0] for _ in range(30)]).mean()
    assert abs(float(whole - drawn)) < 0.1 * float(whole)


def test_the_loss_equals_one_written_out_in_float64() -> None:
    learner = learner_of(config(negatives=ITEMS, reward_weight=0.7, value_weight=0.3))
    learner.policy.eval()
    batch = pieces(10, seed=2)
    with torch.no_grad():
        states = learner.policy.states(*batch.before)
        loss, _ = learner.actor_loss(batch, states)
        actions = learner.policy.actions(states)
        total, weight_sum, values = 0.0, 0.0, []
        for row in range(10):
            logits = learner.policy.learnt_scores(actions[row], torch.arange(ITEMS - 1))  # the last is cold
            for place in range(LENGTH):
                if batch.items[row, place] < 0:
                    continue
                weight = float(torch.exp(0.7 * batch.rewards[row, place + 1].double() / learner.highest))
                target = batch.items[row, place + 1]
                total += weight * float(cross_entropy(logits[place].double(), target))
                weight_sum += weight
                values.append(
                    learner.policy.critics(states[row, place : place + 1], actions[row, place : place + 1])[0]
                )
        q = torch.cat(values).double()
    assert float(loss) == pytest.approx(total / weight_sum - 0.3 * float(q.mean() / q.abs().mean()), rel=1e-4)


@pytest.mark.parametrize("negatives", [15, ITEMS])
def test_what_training_never_saw_does_not_spoil_the_losses(negatives: int) -> None:
    learner = learner_of(config(negatives=negatives))
    batch = pieces(6, seed=4)
    batch.items[::2, -1] = ITEMS - 1
    assert all(torch.isfinite(value) for value in learner.losses(batch).values())
    batch.items[:, 1:] = ITEMS - 1
    assert all(torch.isfinite(value) for value in learner.losses(batch).values())


@pytest.mark.parametrize("negatives", [15, ITEMS])
def test_what_nobody_rated_is_never_a_negative(negatives: int) -> None:
    counts = torch.arange(ITEMS).clamp_max(2)
    chosen, _ = Negatives(counts, negatives).with_targets(torch.tensor([3, 5]), torch.Generator().manual_seed(0))
    assert 0 not in chosen.tolist()
    assert {3, 5} <= set(chosen.tolist())


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


def test_critics_regress_the_discounted_return() -> None:
    """One reward for everybody and no end in sight: Q = r / (1 - γ) of what follows, up to the pieces' ends."""
    learner = learner_of(config(discount=0.5, critic_learning_rate=1e-2, target_rate=0.1))
    for step in range(300):
        batch = pieces(8, seed=step)
        learner.update(batch._replace(rewards=torch.ones_like(batch.rewards), terminal=torch.zeros(8)))
    assert float(learner.losses(pieces(8))["value_logged"]) == pytest.approx(2.0, abs=0.25)


@pytest.mark.parametrize("state", ["frame", "gru", "attention"])
def test_several_threads_learn_the_same_bits(state: str) -> None:
    """Gradients of items that come again and again must not add up in an order that depends on threads."""
    generator = torch.Generator().manual_seed(0)
    items = torch.randint(ITEMS - 1, (64, 51), generator=generator)
    batch = Sequences(items, torch.ones(items.shape), torch.zeros(64))
    data = replace(world(), embedding=torch.randn((ITEMS, 128), generator=generator))
    settings = config(policy={"state": state, "length": 50, "width": 64})
    torch.set_num_threads(2)
    try:
        learners = [Ranking(settings, SPACE, data, "cpu", 0) for _ in range(2)]
        for learner in learners:
            for _ in range(4):
                learner.update(batch)
    finally:
        torch.set_num_threads(1)
    first, second = (learner.policy.state_dict() for learner in learners)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_history_may_be_as_long_as_there_are_places() -> None:
    state = make_state("attention", DIM, 12, 4)
    vectors, rewards = torch.zeros(1, LONGEST + 1, DIM), torch.zeros(1, LONGEST + 1)
    assert state(vectors, rewards, rewards == 0).shape == (1, LONGEST + 1, 12)


@pytest.mark.parametrize("state", ["frame", "gru", "attention"])
def test_saves_loads_and_resumes_to_the_same_bits(state: str) -> None:
    settings = config(policy={"state": state}, value_weight=0.1)
    whole, half = learner_of(settings), learner_of(settings)
    train(whole, 7)
    train(half, 3)
    buffer = io.BytesIO()
    torch.save(half.state_dict(), buffer)
    buffer.seek(0)
    resumed = learner_of(settings, seed=9)
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    train(resumed, 4, first=3)
    for name, value in whole.policy.state_dict().items():
        assert torch.equal(value, resumed.policy.state_dict()[name]), name
    with pytest.raises(LearnerError, match="sizes"):
        learner_of(config(policy={"state": state, "width": 14})).load_state_dict(half.state_dict())


def test_looking_teaches_nothing() -> None:
    learner = learner_of(config(policy={"dropout": 0.5}))
    probe = pieces(5, seed=8)
    untrained, again = learner.losses(probe), learner.losses(probe)
    assert all(torch.equal(untrained[name], again[name]) for name in untrained)
    train(learner, 3)
    known = Histories(probe.items[:, :-1], probe.rewards[:, :-1])
    before = learner.policy.scores(known)
    first, second = learner.losses(probe), learner.losses(probe)
    assert all(torch.equal(first[name], second[name]) for name in first)
    found = diagnose(learner.compare(probe))
    assert {"value_policy_q95", "action_effective_rank"} <= found.keys()
    for name in ("value_logged", "value_policy", "value_target"):
        assert found[name] == pytest.approx(float(first[name]), rel=1e-4)
        assert found[f"{name}_q05"] < found[f"{name}_q50"] < found[f"{name}_q95"]
    assert torch.equal(before, learner.policy.scores(known))


@pytest.mark.parametrize("reward", [-4.0, 5.0])
def test_survives_rewards_at_the_bounds(reward: float) -> None:
    learner = learner_of(config(value_weight=1.0, reward_weight=1.0))
    for step in range(40):
        batch = pieces(8, seed=step)
        metrics = learner.update(batch._replace(rewards=torch.full_like(batch.rewards, reward)))
    assert all(torch.isfinite(value) for value in metrics.values())


@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        ("rewards", torch.nan, "NaN or infinity in rewards"),
        ("terminal", torch.inf, "NaN or infinity in terminal"),
        ("rewards", -4.01, "rewards from -4 to 5; found one outside"),
        ("rewards", 5.01, "rewards from -4 to 5; found one outside"),
        ("rewards", 1e30, "rewards from -4 to 5; found one outside"),
    ],
)
def test_refuses_what_is_no_number_or_no_reward_before_it_reaches_the_weights(
    member: str, value: float, expected: str
) -> None:
    learner = learner_of(config())
    before = learner.policy.head.weight.clone()
    spoilt = pieces(8)
    getattr(spoilt, member)[-1:] = value
    with pytest.raises(LearnerError, match=expected):
        learner.update(spoilt)
    assert torch.equal(before, learner.policy.head.weight)
    learner.update(pieces(8))  # a refused batch leaves a learner that can go on


@pytest.mark.parametrize("spoil", ["losses", "state_dict"])
def test_a_check_that_is_read_late_lets_nothing_out(spoil: str) -> None:
    """As on a GPU."""
    learner = learner_of(config())
    good = learner.state_dict()
    learner.check.every = 3
    bad = pieces(8)
    bad.rewards[0, -1] = 9.0
    learner.update(bad)
    for _ in range(2):
        with pytest.raises(LearnerError, match="found one outside"):
            learner.state_dict() if spoil == "state_dict" else learner.losses(pieces(8))
    learner.load_state_dict(good)
    train(learner, 3)
    learner.state_dict()


@pytest.mark.parametrize("seed", [3, 2**32 - 1])
def test_equal_seeds_learn_alike_and_others_not(seed: int) -> None:
    first, second, other = (learner_of(config(), one) for one in (seed, seed, 2))
    for learner in (first, second, other):
        train(learner, 3)
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    for learner in (first, second):
        train(learner, 2, first=3)
    for name, value in first.policy.state_dict().items():
        assert torch.equal(value, second.policy.state_dict()[name]), name
    assert not torch.equal(first.policy.head.weight, other.policy.head.weight)


@pytest.mark.parametrize("shown", [LENGTH, LENGTH + 12])
def test_the_critic_only_reorders_the_best_of_what_is_unseen(shown: int) -> None:
    plain = learner_of(config())
    train(plain, 10)
    changed = plain.policy.config()
    changed["policy"] |= {"critic_weight": 5.0, "critic_candidates": 7}
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
    learner = learner_of(config(policy={"critic_weight": 5.0}))
    known = Histories(torch.stack((torch.arange(ITEMS - 3), torch.arange(ITEMS - 3))), torch.ones(2, ITEMS - 3))
    whole = Histories(torch.arange(ITEMS).unsqueeze(0), torch.ones(1, ITEMS))
    scores = {mix: [] for mix in (0.0, 5.0)}  # type: dict[float, list[torch.Tensor]]
    for mix, found in scores.items():
        learner.policy.params = learner.policy.params.model_copy(update={"critic_weight": mix})
        found += [learner.policy.scores(known), learner.policy.scores(whole)]
    assert torch.equal(scores[0.0][0][:, :-3], scores[5.0][0][:, :-3])
    assert torch.isfinite(scores[5.0][0]).all()
    assert not torch.equal(scores[0.0][0], scores[5.0][0])
    assert torch.equal(scores[0.0][1], scores[5.0][1])


def test_weights_are_set_to_those_with_the_best_metric() -> None:
    policy = learner_of(config()).policy
    chosen = tune_weights(policy, lambda tried: -abs(tried.params.fitted - 0.25) + tried.params.critic_weight)
    assert chosen == {"fitted": 0.25, "actor": 1.0, "popularity": 1.0, "critic_weight": 0.4}
    assert (policy.params.fitted, policy.params.critic_weight) == (0.25, 0.4)


def test_critics_without_weight_in_the_ranking_learn_if_they_have_one_in_the_loss() -> None:
    learner = learner_of(config(policy={"critic_candidates": 0}, value_weight=0.1, policy_delay=1))
    parts = {"critics": learner.policy.critics, "targets": learner.target_policy.critics}
    before = {name: [value.clone() for value in part.parameters()] for name, part in parts.items()}
    train(learner, 2)
    for name, part in parts.items():
        assert not all(torch.equal(now, then) for now, then in zip(part.parameters(), before[name], strict=True)), name


@pytest.mark.parametrize("settings", [Gru4RecConfig, SasRecConfig])
def test_baselines_have_neither_a_kernel_nor_a_critic_weight(settings: type[RankingConfig], tmp_path: Path) -> None:
    learner = learner_of(settings.model_validate({"policy": SMALL}))
    critics = [value.clone() for value in learner.policy.critics.parameters()]
    train(learner, 3)
    assert all(torch.equal(now, then) for now, then in zip(learner.policy.critics.parameters(), critics, strict=True))
    assert not any("critic" in name or "value" in name for name in learner.losses(pieces(5)))
    assert not any(name.startswith("value") for name in diagnose(learner.compare(pieces(5))))
    asked: list[tuple[float, float, float, float]] = []

    def metric(tried: RankingPolicy) -> float:
        weights = tried.params
        asked.append((weights.fitted, weights.actor, weights.popularity, weights.critic_weight))
        return -weights.popularity

    assert tune_weights(learner.policy, metric) == {"actor": 1.0, "popularity": 0.0}
    assert len(set(asked)) == len(asked) == 5
    assert {(fitted, mix) for fitted, _, _, mix in asked} == {(0.0, 0.0)}
    assert all(actor + popularity > 0 for _, actor, popularity, _ in asked)  # nothing at all ranks by items' places
    save_file(learner.policy.tensors(), tmp_path / "policy.safetensors")
    kept = load_file(tmp_path / "policy.safetensors")
    assert kept["fitted.kernel"].numel() == kept["fitted.items"].numel() == 0
    again = RankingPolicy.from_tensors(learner.policy.config(), kept, DATA.embedding)
    probe = pieces(5)
    known = Histories(probe.items[:, :-1], probe.rewards[:, :-1])
    torch.testing.assert_close(again.scores(known), learner.policy.scores(known))


def test_targets_hold_the_kernel_only_once() -> None:
    learner = learner_of(config())
    assert learner.target_policy.kernel is learner.policy.kernel
    for mine, theirs in zip(learner.policy.parameters(), learner.target_policy.parameters(), strict=True):
        assert mine.data_ptr() != theirs.data_ptr()
        assert not theirs.requires_grad


@pytest.mark.parametrize("dim", [4, 128])
def test_smoothing_noise_is_as_long_however_wide_actions_are(dim: int) -> None:
    generator = torch.Generator().manual_seed(5)
    actions = normalize(torch.randn((500, dim), generator=generator), dim=1)
    cosines = (smoothed(actions, 0.1, 0.5, generator) * actions).sum(1)
    assert 0.985 < cosines.mean() < 0.999
    clipped = (smoothed(actions, 2.0, 0.5, generator) * actions).sum(1)  # ‖ε‖ ≤ c = 0.5 of an action's length
    assert clipped.min() >= math.cos(math.asin(0.5)) - 1e-5


@pytest.mark.parametrize("state", ["frame", "gru", "attention"])
def test_targets_equal_ones_written_out_in_float64(state: str) -> None:
    learner = learner_of(config(policy={"state": state}, discount=0.7))
    generator = torch.Generator().manual_seed(4)
    target = learner.target_policy.double()
    with torch.no_grad():
        for parameter in target.parameters():  # the targets' own weights count, not the learner's
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    batch = pieces(8, seed=3)._replace(terminal=torch.tensor([0.0, 1.0] * 4))
    batch = batch._replace(rewards=batch.rewards.double(), terminal=batch.terminal.double())
    expected, without_end = [], []
    with torch.no_grad():
        for items, rewards, end in zip(*batch, strict=True):
            for place in range(LENGTH):
                if items[place] < 0:
                    continue
                after = slice(0, place + 2)
                if state == "attention":  # whose places are counted from the piece's newest event
                    after = slice(0, LENGTH + 1)
                following = target.states(items[None, after], rewards[None, after])[:, place + 1]
                first, second = target.critics(following, target.actions(following))
                value = min(float(first), float(second))
                done = float(end) if place == LENGTH - 1 else 0.0
                expected.append(float(rewards[place + 1]) + 0.7 * (1 - done) * value)
                without_end.append(float(rewards[place + 1]) + 0.7 * value)
    found = learner.targets(batch, 0.0)
    assert found.tolist() == pytest.approx(expected, rel=1e-9)
    assert without_end != pytest.approx(expected, rel=1e-3)
    assert not torch.equal(found, learner.targets(batch, 0.5))


def test_all_targets_move_and_only_when_due() -> None:
    learner = learner_of(config(policy_delay=2, target_rate=0.25))

    def targets() -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in learner.target_policy.named_parameters()}

    begin = targets()
    train(learner, 1)
    assert all(torch.equal(value, begin[name]) for name, value in targets().items())
    train(learner, 1, first=1)
    moved = targets()
    for name, value in learner.policy.named_parameters():
        torch.testing.assert_close(moved[name], 0.75 * begin[name] + 0.25 * value.detach())
        assert not torch.equal(moved[name], begin[name]), name


def test_items_without_vectors_of_their_own_have_no_gradient_to_report() -> None:
    learner = learner_of(config(policy={"own_vectors": False}))
    metrics = train(learner, 2)
    assert "item_gradient_norm" not in metrics
    assert {"actor_gradient_norm", "mixture_gradient_norm", "critic_gradient_norm"} <= metrics.keys()
    assert not learner.policy.free.any()


def test_round_trip_through_safetensors(tmp_path: Path) -> None:
    learner = learner_of(config())
    train(learner, 5)
    save_file(learner.policy.tensors(), tmp_path / "policy.safetensors")
    kept = load_file(tmp_path / "policy.safetensors")
    again = RankingPolicy.from_tensors(json.loads(json.dumps(learner.policy.config())), kept, DATA.embedding)
    probe = pieces(5)
    known = Histories(probe.items[:, :-1], probe.rewards[:, :-1])
    torch.testing.assert_close(again.scores(known), learner.policy.scores(known), rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(again.act(known), learner.policy.act(known))
    with pytest.raises(LearnerError, match="format"):
        RankingPolicy.from_tensors({"format": "other"}, {}, DATA.embedding)
    with pytest.raises(LearnerError, match="fit its config"):
        RankingPolicy.from_tensors(learner.policy.config(), {}, DATA.embedding)
