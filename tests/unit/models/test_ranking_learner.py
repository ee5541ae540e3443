"""The learner that ranks: its losses and targets, and that it learns which item follows."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, normalize
from unit.models.ranking_support import ITEMS, LENGTH, config, learner_of, pieces, train

from models.histories import Histories
from models.learners.negatives import Negatives
from models.learners.ranking import smoothed


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


def test_critics_regress_the_discounted_return() -> None:
    """One reward for everybody and no end in sight: Q = r / (1 - γ) of what follows, up to the pieces' ends."""
    learner = learner_of(config(discount=0.5, critic_learning_rate=1e-2, target_rate=0.1))
    for step in range(300):
        batch = pieces(8, seed=step)
        learner.update(batch._replace(rewards=torch.ones_like(batch.rewards), terminal=torch.zeros(8)))
    assert float(learner.losses(pieces(8))["value_logged"]) == pytest.approx(2.0, abs=0.25)


def test_critics_without_weight_in_the_ranking_learn_if_they_have_one_in_the_loss() -> None:
    learner = learner_of(config(policy={"critic_candidates": 0}, value_weight=0.1, policy_delay=1))
    parts = {"critics": learner.policy.critics, "targets": learner.target_policy.critics}
    before = {name: [value.clone() for value in part.parameters()] for name, part in parts.items()}
    train(learner, 2)
    for name, part in parts.items():
        assert not all(torch.equal(now, then) for now, then in zip(part.parameters(), before[name], strict=True)), name


def test_targets_hold_the_kernel_only_once() -> None:
    learner = learner_of(config())
    for mine, theirs in zip(learner.policy.buffers(), learner.target_policy.buffers(), strict=True):
        assert mine is theirs
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
    learner.config = learner.config.model_copy(update={"n_step": 2})
    of_two = learner.targets(batch, 0.0)
    ends = torch.nonzero(batch.taken)[:, 1] == LENGTH - 1  # no second step is left there
    assert torch.equal(of_two[ends], found[ends])
    followed = torch.roll(found, -1)[~ends]
    assert torch.allclose(of_two[~ends], batch.rewards[:, 1:][batch.taken][~ends] + 0.7 * followed, rtol=1e-12)


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


def test_item_vectors_that_do_not_start_at_embeddings_start_small_and_enter_scaled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Vectors that start at length 1 stay mostly what they were drawn as."""
    policy = learner_of(config(policy={"embeddings": False, "dropout": 0.0})).policy
    dim = policy.unit.shape[1]
    assert 0.01 < float(policy.free.std()) < 0.03
    seen: list[torch.Tensor] = []
    encoder = policy.state_encoder.forward
    monkeypatch.setattr(
        policy.state_encoder, "forward", lambda vectors, *more: (seen.append(vectors), encoder(vectors, *more))[1]
    )
    items = torch.tensor([[1, 2]])
    policy.states(items, torch.ones(1, 2))
    torch.testing.assert_close(seen[0], policy.vectors()[items] * dim**0.5)
