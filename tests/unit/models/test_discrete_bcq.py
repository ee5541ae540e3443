"""Discrete BCQ: its target, losses and gradients against NumPy in float64, what it allows, its stored policy."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from unit.models.ranking_support import DATA, DIM, ITEMS, LENGTH, SMALL, SPACE, pieces, train
from unit.models.two_choices_support import SMALL_POLICY, SMALL_SPACE, first_choice, misleading, two_choices
from unit.models.written_ranking_support import DESCENT, RATE, Array, WrittenRanking, some_slopes, weights_by_name

from models.baselines.training import TrainingData
from models.batch import Sequences
from models.constrained_ranking import ConstrainedRanking
from models.errors import PolicyError
from models.histories import Histories
from models.learners.discrete_bcq import DiscreteBCQ, DiscreteBCQConfig
from serving.stored_policies import load_policy

GAMMA = 0.7
RATES = dict.fromkeys(("learning_rate", "mixture_rate", "values_learning_rate"), RATE)


def learner_of(seed: int = 0, **changes: Any) -> DiscreteBCQ:
    policy = SMALL | {"state": "frame", "dropout": 0.0}
    settings = {"policy": policy, "discount": GAMMA} | changes
    return DiscreteBCQ(DiscreteBCQConfig.model_validate(settings), SPACE, DATA, "cpu", seed)


class WrittenOut(WrittenRanking):
    """The loss in NumPy, of the weights by name."""

    def values(self, w: dict[str, Array], states: Array) -> Array:
        """Q of the known items, (N, I - 1)."""
        hidden = np.maximum(states @ w["values.layers.0.weight"].T + w["values.layers.0.bias"], 0)
        hidden = hidden @ w["values.layers.2.weight"].T + w["values.layers.2.bias"]
        found: Array = hidden @ w["values.vectors"][self.known].T + w["values.bias"][self.known]
        return found

    def targets(self, w: dict[str, Array], slow: dict[str, Array], terminal: Array, threshold: float) -> Array:
        """The target y of each logged action: the best allowed item by Q, its value by the target network."""
        s_next = self.states(w, later=1)
        share = np.exp(self.logits(w, s_next))
        allowed = share / share.max(1, keepdims=True) >= threshold
        self.allowed_share = allowed.mean()
        best = np.where(allowed, self.values(w, s_next), -np.inf).argmax(1)
        value = self.values(slow, self.states(slow, later=1))[np.arange(len(best)), best]
        ended = np.zeros(self.there.shape)
        ended[:, -1] = terminal
        found: Array = self.rewards[:, 1:][self.there] + GAMMA * (1 - ended[self.there]) * value
        return found

    def loss(self, w: dict[str, Array], y: Array) -> float:
        states = self.states(w)
        error = np.abs(self.values(w, states)[np.arange(len(y)), self.target] - y)
        huber = np.where(error < 1, error**2 / 2, error - 0.5)
        return float(huber.mean() - self.log_share(self.logits(w, states)).mean())


@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_a_whole_update_equals_numpy_in_float64(threshold: float) -> None:
    learner = learner_of(**DESCENT, **RATES, threshold=threshold, target_rate=0.3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in learner.target.parameters():  # as after some learning, when it differs from what it follows
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    learner.constrained.double()
    learner.target.double()
    learner.policy.log_count = torch.log1p(DATA.counts.double())
    batch = pieces(6, seed=2)
    batch = batch._replace(rewards=batch.rewards.double(), terminal=torch.tensor([0.0, 1.0] * 3).double())
    written = WrittenOut(batch)
    before = weights_by_name(learner.policy, values=learner.constrained.values)
    slow = weights_by_name(learner.target.imitation, values=learner.target.values)
    y = written.targets(before, slow, batch.terminal.numpy(), threshold)
    assert {0.0: 1.0, 1.0: 1 / (ITEMS - 1)}.get(threshold, written.allowed_share) == pytest.approx(
        written.allowed_share
    )

    metrics = learner.update(batch)

    assert float(metrics["value_target"]) == pytest.approx(y.mean(), rel=1e-9)
    total = float(metrics["actor_loss"] + metrics["critic_loss"])
    assert total == pytest.approx(written.loss(before, y), rel=1e-9)
    after = weights_by_name(learner.policy, values=learner.constrained.values)
    assert len(before) == 13
    for name, value in before.items():
        for place, slope in some_slopes(lambda: written.loss(before, y), value):
            moved = (value[place] - after[name][place]) / RATE
            assert moved == pytest.approx(slope, rel=1e-5, abs=1e-7), (name, place)
    followed = weights_by_name(learner.target.imitation, values=learner.target.values)
    for name, was in slow.items():
        np.testing.assert_allclose(followed[name], 0.7 * was + 0.3 * after[name], rtol=1e-10, atol=1e-14)


def learnt(log: tuple[TrainingData, Sequences], **changes: Any) -> ConstrainedRanking:
    data, batch = log
    rates = dict.fromkeys(("learning_rate", "values_learning_rate"), 1e-2)
    settings = {"policy": SMALL_POLICY, "target_rate": 0.1, **rates} | changes
    learner = DiscreteBCQ(DiscreteBCQConfig.model_validate(settings), SMALL_SPACE, data, "cpu", 0)
    for _ in range(150):
        learner.update(batch)
    return learner.constrained


@pytest.mark.parametrize(("discount", "best"), [(0.9, 2), (0.0, 1)])
def test_seeks_the_return_and_not_the_next_reward(discount: float, best: int) -> None:
    of_1, of_2 = first_choice(learnt(two_choices(60, 0.5, misleading), discount=discount))
    assert (of_2 > of_1) == (best == 2)


@pytest.mark.parametrize(("threshold", "best"), [(0.0, 2), (0.3, 1)])
def test_what_was_hardly_ever_logged_is_not_allowed(threshold: float, best: int) -> None:
    """Item 2 pays more and was logged a tenth as often as item 1."""
    log = two_choices(100, 0.9, lambda first, _: (1.0, 0.0) if first == 1 else (2.0, 0.0))
    of_1, of_2 = first_choice(learnt(log, discount=0.0, threshold=threshold))
    assert (of_2 > of_1) == (best == 2)


def test_allowed_items_come_first_by_value_then_others_by_probability() -> None:
    learner = learner_of(**dict.fromkeys(RATES, 0.01))  # so that the behaviour policy soon prefers some items
    train(learner, 60)
    policy = learner.constrained
    batch = pieces(8, seed=5)
    known = Histories(*batch.before)
    scores = policy.scores(known)
    with torch.no_grad():
        state = policy.imitation.states(*known.last(LENGTH))[:, -1]
        everything = torch.arange(ITEMS)
        logits, values = policy.logits(state, everything), policy.values(state, everything)
    for row in range(8):
        fresh = [item for item in range(ITEMS - 1) if item not in batch.items[row, :-1]]
        share = logits[row].exp()
        allowed = [item for item in fresh if share[item] >= 0.3 * share[fresh].max()]
        others = [item for item in range(ITEMS) if item not in allowed]
        assert 0 < len(allowed) < len(fresh)
        expected = sorted(allowed, key=lambda item: -float(values[row, item]))
        expected += sorted(others, key=lambda item: -float(logits[row, item]))
        assert scores[row].argsort(descending=True).tolist() == expected
    best = policy.act(known) / policy.imitation.embedding_length
    torch.testing.assert_close(best, policy.imitation.unit[scores.argmax(1)])


def test_a_history_of_all_items_can_be_ranked() -> None:
    policy = learner_of().constrained
    assert torch.isfinite(policy.scores(Histories(torch.arange(ITEMS).unsqueeze(0), torch.ones(1, ITEMS)))).all()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"format": "marquee-constrained-ranking-policy/2"}, "expected format"),
        ({"threshold": 1.5}, "threshold: Input should be less than or equal to 1"),
        ({"more": 1}, "more: Extra inputs are not permitted"),
        ({"imitation": {"format": "marquee-ranking-policy/6"}}, "imitation.policy: Field required"),
        ({"imitation": None}, "imitation: Input should be a valid dictionary"),
    ],
)
def test_a_stored_policy_with_another_config_is_refused(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    policy = learner_of().constrained
    save_file(policy.tensors(), tmp_path / "policy.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(policy.config() | change))
    with pytest.raises(PolicyError, match=expected):
        load_policy(tmp_path, DATA.embedding)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("values.vectors", torch.zeros(ITEMS + 1, DIM), "fit its config"),
        ("values.bias", torch.full((ITEMS,), torch.nan), "NaN or infinity in values.bias"),
        ("imitation.head.bias", torch.zeros(DIM + 1), "fit its config"),
        ("head.bias", torch.zeros(DIM), r"expected weights of imitation and values; found \['head.bias'\]"),
        ("values.more", torch.zeros(1), r"unknown \['more'\]"),
    ],
)
def test_a_stored_policy_with_other_weights_is_refused(
    tmp_path: Path, name: str, value: torch.Tensor, expected: str
) -> None:
    policy = learner_of().constrained
    save_file(policy.tensors() | {name: value}, tmp_path / "policy.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(policy.config()))
    with pytest.raises(PolicyError, match=expected):
        load_policy(tmp_path, DATA.embedding)
