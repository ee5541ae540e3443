"""REINFORCE's returns, loss and gradients against NumPy in float64, and what its corrections are for."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from unit.models.ranking_support import DATA, DIM, ITEMS, LENGTH, SMALL, SPACE, pieces

from models.baselines.training import TrainingData
from models.batch import Sequences
from models.histories import Histories
from models.learners.reinforce import Reinforce, ReinforceConfig
from models.optimisers import OptimiserConfig
from models.space import Space

Array = NDArray[np.float64]
RATE, GAMMA = 1e-3, 0.7
DESCENT = {
    "optimiser": OptimiserConfig(name="sgd", momentum=0, max_gradient_norm=1e9),
    "item_decay": 0.0,
    "learning_rate": RATE,
    "mixture_rate": RATE,
    "behaviour_learning_rate": RATE,
}


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
    named = {**dict(learner.policy.named_parameters()), **dict(learner.behaviour.named_parameters(prefix="beta"))}
    return {
        name: value.detach().numpy().copy() for name, value in named.items() if not name.startswith(("critics", "kern"))
    }


class WrittenOut:
    """Both losses in NumPy, of the weights by name; the state is `frame`, of four events."""

    def __init__(self, learner: Reinforce, batch: Sequences) -> None:
        self.config = learner.config
        self.known = np.arange(ITEMS - 1)  # the last item has no training events
        self.counts = DATA.counts.double().numpy()
        self.items, self.rewards = batch.items.numpy(), batch.rewards.numpy()
        self.there = (self.items[:, :-1] >= 0) & (self.items[:, 1:] >= 0)
        self.target = self.items[:, 1:][self.there]
        self.returns = written_out_returns(batch, float(DATA.rewards.double().mean()))[self.there] * (1 - GAMMA) / 5

    def states(self, w: dict[str, Array]) -> Array:
        """(N, H) of all logged actions."""
        events = np.zeros((*self.items.shape, DIM + 1))
        present = self.items >= 0
        events[present, :DIM] = w["free"][self.items[present]]
        events[..., DIM] = self.rewards / 5
        flat = []
        for row, place in zip(*np.nonzero(self.there), strict=True):
            window = np.zeros((4, DIM + 1))
            latest = events[row, max(0, place - 3) : place + 1]
            window[4 - len(latest) :] = latest
            flat.append(np.concatenate((window[:, :DIM].ravel(), window[:, DIM])))
        return np.maximum(np.array(flat) @ w["state_encoder.layer.weight"].T + w["state_encoder.layer.bias"], 0)

    def log_pi(self, w: dict[str, Array]) -> Array:
        action = self.states(w) @ w["head.weight"].T + w["head.bias"]
        action /= np.linalg.norm(action, axis=1, keepdims=True)
        scores = w["action_scale"] * action @ w["free"][self.known].T
        return self.log_share(scores + w["popularity"] * np.log1p(self.counts[self.known]))

    def log_beta(self, w: dict[str, Array], states: Array) -> Array:
        action = states @ w["beta.head.weight"].T + w["beta.head.bias"]
        return self.log_share(action @ w["beta.vectors"][self.known].T + w["beta.bias"][self.known])

    def log_share(self, scores: Array) -> Array:
        chosen = scores[np.arange(len(scores)), self.target]
        found: Array = chosen - np.log(np.exp(scores).sum(1))
        return found

    def factors(self, w: dict[str, Array]) -> Array:
        """min(π / β, c) λ_K of the weights before the step, which the gradient leaves alone."""
        pi, beta = np.exp(self.log_pi(w)), np.exp(self.log_beta(w, self.states(w)))
        capped = np.minimum(pi / beta, self.config.weight_cap)
        found: Array = capped * self.config.top_k * (1 - pi) ** (self.config.top_k - 1)
        return found


@pytest.mark.parametrize(("top_k", "weight_cap"), [(1, 20.0), (16, 20.0), (4, 0.9)])
def test_a_whole_update_equals_numpy_in_float64(top_k: int, weight_cap: float) -> None:
    learner = learner_of(**DESCENT, top_k=top_k, weight_cap=weight_cap)
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
    generator = np.random.default_rng(0)
    for name, value in before.items():
        loss = behaviour_loss if name.startswith("beta") else policy_loss
        some = generator.permutation(value.size)[:12]
        for place in (np.unravel_index(one, value.shape) for one in some):
            kept = value[place]
            value[place] = kept + 1e-6
            above = loss(before)
            value[place] = kept - 1e-6
            slope = (above - loss(before)) / 2e-6
            value[place] = kept
            assert (kept - after[name][place]) / RATE == pytest.approx(slope, rel=1e-5, abs=1e-7), (name, place)


# A world of two choices after item 0: first item 1 or 2, then item 3 or 4.
EMBEDDING = torch.eye(5)
SMALL_SPACE = Space.of(EMBEDDING, 1, (-1.0, 2.0))


def two_choices(users: int, first_share: float, reward: Any, seed: int = 0) -> tuple[TrainingData, Sequences]:
    """Logged histories 0, first, second: item 1 is the first with chance `first_share`; the second is even."""
    g = torch.Generator().manual_seed(seed)
    first = torch.where(torch.rand(users, generator=g) < first_share, 1, 2)
    second = torch.where(torch.rand(users, generator=g) < 0.5, 3, 4)
    items = torch.stack((torch.zeros(users, dtype=torch.int64), first, second), 1)
    rewards = torch.tensor([[0.0, *reward(*pair)] for pair in zip(first.tolist(), second.tolist(), strict=True)])
    data = TrainingData(
        torch.arange(users).repeat_interleave(3), items.flatten(), rewards.flatten(), torch.arange(3 * users), EMBEDDING
    )
    return data, Sequences(items, rewards, torch.ones(users))


def learnt(log: tuple[TrainingData, Sequences], steps: int = 120, **changes: Any) -> Reinforce:
    data, batch = log
    policy = {"width": 8, "length": 2, "frame": 1, "state": "frame", "dropout": 0.0, "embeddings": True}
    settings = {"policy": policy, "learning_rate": 1e-2, "behaviour_learning_rate": 1e-2, "top_k": 1} | changes
    learner = Reinforce(ReinforceConfig.model_validate(settings), SMALL_SPACE, data, "cpu", 0)
    for _ in range(steps):
        learner.update(batch)
    return learner


def first_choice(learner: Reinforce) -> tuple[float, float]:
    """Scores of items 1 and 2 after item 0."""
    scores = learner.policy.scores(Histories(torch.tensor([[0]]), torch.zeros(1, 1)))[0]
    return float(scores[1]), float(scores[2])


def misleading(first: int, second: int) -> tuple[float, float]:
    """Item 1 pays at once and spoils what follows."""
    return (1.0, -1.0) if first == 1 else (0.0, 2.0)


@pytest.mark.parametrize(("discount", "best"), [(0.9, 2), (0.0, 1)])
def test_seeks_the_return_and_not_the_next_reward(discount: float, best: int) -> None:
    of_1, of_2 = first_choice(learnt(two_choices(60, 0.5, misleading), discount=discount))
    assert (of_2 > of_1) == (best == 2)


@pytest.mark.parametrize(("weight_cap", "best"), [(20.0, 2), (1e-3, 1)])
def test_the_importance_weight_corrects_for_what_was_logged_often(weight_cap: float, best: int) -> None:
    """Item 1 was logged nine times as often and pays half as much; with all weights capped alike it wins by its number."""
    log = two_choices(100, 0.9, lambda first, _: (1.0, 0.0) if first == 1 else (2.0, 0.0))
    of_1, of_2 = first_choice(learnt(log, discount=0.0, weight_cap=weight_cap))
    assert (of_2 > of_1) == (best == 2)


def test_the_top_k_correction_leaves_room_for_the_second_best() -> None:
    """With K = 2 a list of both is learnt; with K = 1 nearly all probability goes to the better one."""
    log = two_choices(100, 0.5, lambda first, _: (1.0, 0.0) if first == 1 else (2.0, 0.0))
    shares = []
    for top_k in (1, 2):
        of_1, of_2 = first_choice(learnt(log, discount=0.0, top_k=top_k))
        assert of_2 > of_1
        shares.append(of_2 - of_1)
    assert shares[1] < shares[0] - 1
