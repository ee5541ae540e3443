"""REINFORCE's returns, loss and gradients against NumPy in float64, and what its corrections are for."""

from typing import Any

import numpy as np
import pytest
import torch
from unit.models.ranking_support import DATA, LENGTH, SMALL, SPACE, pieces
from unit.models.two_choices_support import SMALL_POLICY, SMALL_SPACE, first_choice, misleading, two_choices
from unit.models.written_ranking_support import DESCENT, RATE, Array, WrittenRanking, some_slopes, weights_by_name

from models.baselines.training import TrainingData
from models.batch import Sequences
from models.learners.reinforce import Reinforce, ReinforceConfig

GAMMA = 0.7
RATES = dict.fromkeys(("learning_rate", "mixture_rate", "behaviour_learning_rate"), RATE)


def learner_of(policy: dict[str, Any] | None = None, **changes: Any) -> Reinforce:
    settings = {"policy": SMALL | {"state": "frame", "dropout": 0.0} | (policy or {}), "discount": GAMMA} | changes
    return Reinforce(ReinforceConfig.model_validate(settings), SPACE, DATA, "cpu", 0)


def written_out_returns(batch: Sequences, mean: float) -> Array:
    """R of each action, by the recursion R_l = r_l + γ R_(l+1) from what is assumed after the last one."""
    rewards, terminal = batch.rewards.double().numpy(), batch.terminal.numpy()
    found = np.zeros((len(rewards), rewards.shape[1] - 1))
    for row in range(len(rewards)):
        later = 0.0 if terminal[row] else mean / (1 - GAMMA)
        for place in reversed(range(found.shape[1])):
            later = found[row, place] = rewards[row, place + 1] + GAMMA * later
    return found


def test_returns_count_what_follows_and_a_mean_reward_after_the_cut() -> None:
    batch = pieces(10, seed=2)
    assert 0 < batch.terminal.sum() < 10
    learner = learner_of()
    mean = float(DATA.rewards.double().mean())
    np.testing.assert_allclose(learner.returns(batch).numpy(), written_out_returns(batch, mean), rtol=1e-4, atol=1e-4)


def test_a_return_does_not_depend_on_the_distance_from_the_cut() -> None:
    """If all rewards are alike, all returns of sequences that go on are; those of a history that ends grow towards its start."""
    learner = learner_of()
    learner.mean_reward = 2.0
    batch = Sequences(torch.zeros(2, LENGTH + 1).long(), torch.full((2, LENGTH + 1), 2.0), torch.tensor([0.0, 1.0]))
    going_on, ended = learner.returns(batch)
    torch.testing.assert_close(going_on, torch.full((LENGTH,), 2 / (1 - GAMMA)))
    assert (ended.diff() < 0).all()
    assert float(ended[-1]) == 2.0


def numbers_of(learner: Reinforce) -> dict[str, Array]:
    return weights_by_name(policy=learner.policy, beta=learner.behaviour)


class WrittenOut(WrittenRanking):
    """Both losses in NumPy, of the weights by name."""

    def __init__(self, learner: Reinforce, batch: Sequences) -> None:
        super().__init__(batch)
        self.config = learner.config
        self.returns = written_out_returns(batch, float(DATA.rewards.double().mean()))[self.there] * (1 - GAMMA) / 5

    def log_pi(self, w: dict[str, Array]) -> Array:
        return self.log_share(self.logits(w, self.states(w)))

    def log_beta(self, w: dict[str, Array], states: Array) -> Array:
        action = states @ w["beta.head.weight"].T + w["beta.head.bias"]
        return self.log_share(action @ w["beta.vectors"][self.known].T + w["beta.bias"][self.known])

    def factors(self, w: dict[str, Array]) -> Array:
        """min(π / β, c) λ_K of the weights before the step, which the gradient leaves alone."""
        pi, beta = np.exp(self.log_pi(w)), np.exp(self.log_beta(w, self.states(w)))
        capped = np.minimum(pi / beta, self.config.weight_cap)
        found: Array = capped * self.config.top_k * (1 - pi) ** (self.config.top_k - 1)
        return found


@pytest.mark.parametrize(("top_k", "weight_cap"), [(1, 20.0), (16, 20.0), (4, 0.9)])
def test_a_whole_update_equals_numpy_in_float64(top_k: int, weight_cap: float) -> None:
    learner = learner_of(**DESCENT, **RATES, top_k=top_k, weight_cap=weight_cap)
    learner.policy.double()
    learner.behaviour.double()
    learner.policy.log_count = torch.log1p(DATA.counts.double())
    learner.mean_reward = float(DATA.rewards.double().mean())
    batch = pieces(6, seed=2)
    batch = batch._replace(rewards=batch.rewards.double(), terminal=batch.terminal.double())
    written, before = WrittenOut(learner, batch), numbers_of(learner)
    factors, states = written.factors(before), written.states(before)

    def policy_loss(w: dict[str, Array]) -> float:
        return float(-(factors * written.returns * written.log_pi(w)).mean())

    def behaviour_loss(w: dict[str, Array]) -> float:
        return float(-written.log_beta(w, states).mean())  # the states are given to it: its gradient stops there

    metrics = learner.update(batch)
    assert float(metrics["actor_loss"]) == pytest.approx(policy_loss(before), rel=1e-9)
    assert float(metrics["behaviour_loss"]) == pytest.approx(behaviour_loss(before), rel=1e-9)
    assert (float(metrics["weights_capped"]) > 0) == (weight_cap < 1)
    after = numbers_of(learner)
    assert len(before) == 11
    for name, value in before.items():
        loss = behaviour_loss if name.startswith("beta") else policy_loss
        for place, slope in some_slopes(lambda: loss(before), value):  # noqa: B023
            moved = (value[place] - after[name][place]) / RATE
            assert moved == pytest.approx(slope, rel=1e-5, abs=1e-7), (name, place)


def learnt(log: tuple[TrainingData, Sequences], steps: int = 120, **changes: Any) -> Reinforce:
    data, batch = log
    settings = {"policy": SMALL_POLICY, "learning_rate": 1e-2, "behaviour_learning_rate": 1e-2, "top_k": 1} | changes
    learner = Reinforce(ReinforceConfig.model_validate(settings), SMALL_SPACE, data, "cpu", 0)
    for _ in range(steps):
        learner.update(batch)
    return learner


@pytest.mark.parametrize(("discount", "best"), [(0.9, 2), (0.0, 1)])
def test_seeks_the_return_and_not_the_next_reward(discount: float, best: int) -> None:
    of_1, of_2 = first_choice(learnt(two_choices(60, 0.5, misleading), discount=discount).policy)
    assert (of_2 > of_1) == (best == 2)


@pytest.mark.parametrize(("weight_cap", "best"), [(20.0, 2), (1e-3, 1)])
def test_the_importance_weight_corrects_for_what_was_logged_often(weight_cap: float, best: int) -> None:
    """Item 1 was logged nine times as often and pays half as much; with all weights capped alike it wins by its number."""
    log = two_choices(100, 0.9, lambda first, _: (1.0, 0.0) if first == 1 else (2.0, 0.0))
    of_1, of_2 = first_choice(learnt(log, discount=0.0, weight_cap=weight_cap).policy)
    assert (of_2 > of_1) == (best == 2)


def test_the_top_k_correction_leaves_room_for_the_second_best() -> None:
    """With K = 2 a list of both is learnt; with K = 1 nearly all probability goes to the better one."""
    log = two_choices(100, 0.5, lambda first, _: (1.0, 0.0) if first == 1 else (2.0, 0.0))
    shares = []
    for top_k in (1, 2):
        of_1, of_2 = first_choice(learnt(log, discount=0.0, top_k=top_k).policy)
        assert of_2 > of_1
        shares.append(of_2 - of_1)
    assert shares[1] < shares[0] - 1
