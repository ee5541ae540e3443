"""Baselines that are trained by gradients, each against a plain computation in float64."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from unit.models.baselines.baselines_support import PROBES, RECENCIES, histories, some_training, training, weights_of

from models.baselines import biased_mf, fm
from models.baselines.biased_mf import BiasedMf, BiasedMfConfig, fit_biased_mf
from models.baselines.fm import FmConfig, fit_fm, recent_items
from models.baselines.rbm import BoltzmannMachine, Rbm, RbmConfig, divergence_gradient, fit_rbm
from models.baselines.recency import Recency
from models.errors import LearnerError
from models.histories import Histories

FITS = [
    (fit_rbm, RbmConfig(hidden=4, epochs=3, min_count=1, steps=2)),
    (fit_fm, FmConfig(factors=4, epochs=2, negatives=5)),
    (fit_biased_mf, BiasedMfConfig(factors=4, epochs=2, batch=32)),
]  # fmt: skip


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


def a_machine(visible: int = 12, hidden: int = 3) -> BoltzmannMachine:
    rng = np.random.default_rng(1)
    return BoltzmannMachine(
        *(torch.from_numpy(rng.normal(size=size)).float() for size in ((visible, hidden), visible, hidden))
    )


@pytest.mark.parametrize("steps", [1, 3])
def test_contrastive_divergence_equals_its_definition_unit_by_unit(steps: int) -> None:
    machine = a_machine()
    data = torch.from_numpy(np.random.default_rng(2).integers(0, 2, (5, 12))).float()
    found = divergence_gradient(machine, data, steps, torch.Generator().manual_seed(3))

    weights, visible_bias, hidden_bias = (one.double().numpy() for one in machine)
    draws = torch.Generator().manual_seed(3)
    chosen = data.double().numpy()
    first = hidden = sigmoid(hidden_bias + chosen @ weights)
    for _ in range(steps):
        states = torch.rand((5, 3), generator=draws).numpy() < hidden
        chances = sigmoid(visible_bias + states @ weights.T)
        visible = (torch.rand((5, 12), generator=draws).numpy() < chances).astype(float)
        hidden = sigmoid(hidden_bias + visible @ weights)
    expected = np.zeros((12, 3))
    for user in range(5):
        for i in range(12):
            for j in range(3):
                expected[i, j] += (chosen[user, i] * first[user, j] - visible[user, i] * hidden[user, j]) / 5
    np.testing.assert_allclose(found.weights, expected, atol=1e-6)
    np.testing.assert_allclose(found.visible, (chosen - visible).mean(0), atol=1e-6)
    np.testing.assert_allclose(found.hidden, (first - hidden).mean(0), atol=1e-6)


def test_contrastive_divergence_by_hand() -> None:
    """A unit that is surely on, reconstructed as surely on, has no gradient; as surely off, -1 less of each factor."""
    sure = BoltzmannMachine(torch.zeros(1, 1), torch.tensor([50.0]), torch.zeros(1))
    on, generator = torch.ones(4, 1), torch.Generator().manual_seed(0)
    assert [one.item() for one in divergence_gradient(sure, on, 1, generator)] == [0, 0, 0]
    never = BoltzmannMachine(torch.zeros(1, 1), torch.tensor([-50.0]), torch.zeros(1))
    assert [one.item() for one in divergence_gradient(never, on, 1, generator)] == [0.5, 1, 0]


@pytest.mark.parametrize("recency", RECENCIES)
def test_boltzmann_machine_scores_by_one_step(recency: Recency) -> None:
    machine, units = a_machine(visible=10), torch.arange(10)
    for row, scores in zip(PROBES, Rbm(machine, units, 12, recency).scores(histories(*PROBES)), strict=True):
        weights, visible_bias, hidden_bias = (one.double().numpy() for one in machine)
        total = hidden_bias + sum(
            (weight * weights[item] for item, weight in weights_of(row, recency).items() if item < 10), np.zeros(3)
        )
        np.testing.assert_allclose(scores[:10], sigmoid(visible_bias + sigmoid(total) @ weights.T), atol=1e-6)
        assert not scores[10:].any()


def test_boltzmann_machine_needs_frequent_items() -> None:
    with pytest.raises(LearnerError, match="found none"):
        fit_rbm(RbmConfig(min_count=1000), some_training())


def naive_score(machine: fm.FactorisationMachine, unit: np.ndarray, item: int, recent: dict[int, float]) -> float:
    """Rendle's equation 1 over all 2 I + D variables, the sum over pairs written out."""
    count, width = unit.shape
    values = np.concatenate((np.eye(count)[item], unit[item], [recent.get(one, 0.0) for one in range(count)]))
    linear = np.concatenate((machine.item_weights, machine.feature_weights, np.zeros(count)))
    vectors = np.concatenate((machine.items, machine.features, machine.recent))
    total = float(linear @ values)
    for i in range(2 * count + width):
        for j in range(i + 1, 2 * count + width):
            total += float(vectors[i] @ vectors[j] * values[i] * values[j])
    return total


def an_fm(count: int = 6, width: int = 3) -> tuple[fm.FactorisationMachine, torch.Tensor]:
    rng = np.random.default_rng(4)
    shapes = (count, width, (count, 2), (width, 2), (count, 2))
    machine = fm.FactorisationMachine(*(torch.from_numpy(rng.normal(size=shape)) for shape in shapes))
    return machine, normalize(torch.from_numpy(rng.normal(size=(count, width))), dim=1)


@pytest.mark.parametrize("recency", RECENCIES)
def test_linear_time_scores_equal_the_sum_over_all_pairs(recency: Recency) -> None:
    machine, unit = an_fm()
    scorer = fm.Fm(*(one.float() for one in (*machine.candidates(torch.arange(6), unit), machine.recent)), recency)
    rows = [[3, 1, 0, 5], [2], []]
    for row, scores in zip(rows, scorer.scores(histories(*rows)), strict=True):
        weights = weights_of(row, recency)
        recent = {item: weight / sum(weights.values()) for item, weight in weights.items()}
        expected = np.array([naive_score(machine, unit.numpy(), item, recent) for item in range(6)])
        np.testing.assert_allclose(scores - scores[0], expected - expected[0], atol=1e-5)


def test_loss_and_first_gradient_of_the_factorisation_machine_in_float64() -> None:
    machine, unit = an_fm()
    targets, others = torch.tensor([2, 5]), torch.tensor([0, 2, 4])
    recent = [{1: 0.25, 3: 0.75}, {0: 1.0}]

    def expected(values: fm.FactorisationMachine) -> float:
        total = 0.0
        for target, known in zip((2, 5), recent, strict=True):
            among = [target, *(item for item in (0, 2, 4) if item != target)]
            scores = np.array([naive_score(values, unit.numpy(), item, known) for item in among])
            total += float(np.log(np.exp(scores).sum()) - scores[0]) / 2
        return total

    parameters = fm.FactorisationMachine(*(one.clone().requires_grad_() for one in machine))
    weights = torch.tensor([[0, 0.25, 0, 0.75, 0, 0], [1.0, 0, 0, 0, 0, 0]], dtype=torch.float64)
    found = fm.loss(parameters, unit, weights @ parameters.recent, targets, others)
    assert found.item() == pytest.approx(expected(machine), abs=1e-10)
    found.backward()
    for place, parameter in enumerate(parameters):
        for cell in np.ndindex(*parameter.shape):
            ends = []
            for step in (1e-5, -1e-5):
                moved = [one.clone() for one in machine]
                moved[place][cell] += step
                ends.append(expected(fm.FactorisationMachine(*moved)))
            assert parameter.grad is not None
            assert parameter.grad[cell].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-6)


def test_recent_items_are_the_same_users_earlier_events() -> None:
    data = training([4, 4, 4, 7, 7], [8, 6, 5, 3, 1], 9)
    events, first = torch.tensor([0, 2, 4]), torch.tensor([0, 0, 0, 3, 3])
    items, weights = recent_items(data, events, first, FmConfig(window=2, window_decay=0.25))
    assert items[1].tolist() == [8, 6]
    assert items[2, 1] == 3
    np.testing.assert_allclose(weights, [[0, 0], [0.2, 0.8], [0, 1]])


def test_loss_and_gradient_of_biased_factors_equal_the_papers() -> None:
    rng = np.random.default_rng(6)
    users, items = rng.normal(size=(3, 5)), rng.normal(size=(4, 5))
    mine, theirs, rewards = np.array([0, 0, 2]), np.array([1, 3, 1]), np.array([4.0, -1.0, 2.5])
    mean, penalty = 0.7, 0.3
    total, slopes = 0.0, (np.zeros_like(users), np.zeros_like(items))
    for u, i, r in zip(mine, theirs, rewards, strict=True):
        error = r - (mean + users[u, 0] + items[i, 0] + users[u, 1:] @ items[i, 1:])
        total += error**2 + penalty * ((users[u] ** 2).sum() + (items[i] ** 2).sum())
        slopes[0][u] += 2 * (penalty * users[u] - error * np.r_[1, items[i, 1:]])
        slopes[1][i] += 2 * (penalty * items[i] - error * np.r_[1, users[u, 1:]])
    sides = [torch.from_numpy(one).requires_grad_() for one in (users, items)]
    found = biased_mf.loss(mean, sides[0][mine], sides[1][theirs], torch.from_numpy(rewards), penalty)
    assert found.item() == pytest.approx(total)
    found.backward()
    for side, slope in zip(sides, slopes, strict=True):
        np.testing.assert_allclose(side.grad, slope)


@pytest.mark.parametrize("unrated", [0, 2])
@pytest.mark.parametrize("recency", RECENCIES)
def test_a_new_user_is_the_minimum_of_the_trainings_loss(recency: Recency, unrated: int) -> None:
    """Each drawn item has its expectation: every trained item, with an equal part of the weight."""
    rng = np.random.default_rng(7)
    items, trained = rng.normal(size=(12, 4)), np.arange(12) < 10
    items[~trained] = 0
    mean, least, penalty = 0.5, -4.0, 0.2
    model = BiasedMf(torch.from_numpy(items).float(), torch.from_numpy(trained), mean, least, penalty, unrated, recency)
    known = histories(*PROBES)
    given = torch.from_numpy(rng.integers(-4, 6, known.items.shape)).float()
    found, scores = model.users(Histories(known.items, given)), model.scores(Histories(known.items, given))
    for place, row in enumerate(PROBES):
        rewards = dict(zip(row, given[place, len(given[place]) - len(row) :].tolist(), strict=True))
        rows = [(weight, items[item], rewards[item]) for item, weight in weights_of(row, recency).items()]
        total = sum(weight for weight, _, _ in rows)
        rows += [(unrated * total / 10, one, least) for one in items[trained]]
        root = np.sqrt([weight for weight, _, _ in rows])
        design = root[:, None] * np.array([np.r_[1, one[1:]] for _, one, _ in rows])
        rest = root * np.array([reward - mean - one[0] for _, one, reward in rows])
        ridge = np.sqrt(penalty * (1 + unrated) * total) * np.eye(4)
        user = np.linalg.lstsq(np.vstack((design, ridge)), np.concatenate((rest, np.zeros(4))), rcond=None)[0]
        np.testing.assert_allclose(found[place], user, atol=1e-4)
        predicted = mean + user[0] + items[:, 0] + items[:, 1:] @ user[1:]
        np.testing.assert_allclose(scores[place, :10], (predicted - predicted[:10].min())[:10], atol=1e-4)
        assert not scores[place, 10:].any()


@pytest.mark.parametrize(("fit", "config"), FITS, ids=lambda value: getattr(value, "__name__", ""))
def test_seeds_matter_and_threads_do_not(fit, config) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    probe, data = histories(*PROBES), some_training()
    scores = fit(config, data).scores(probe)
    torch.set_num_threads(2)
    try:
        again = fit(config, data)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert torch.equal(again.scores(probe), scores)
    assert not torch.equal(fit(config.model_copy(update={"seed": 1}), data).scores(probe), scores)


@pytest.mark.parametrize(
    ("fit", "config"),
    [
        (fit_rbm, RbmConfig(hidden=4, epochs=100, batch=8)),
        (fit_fm, FmConfig(factors=4, epochs=20, batch=32, learning_rate=0.05)),
        (fit_biased_mf, BiasedMfConfig(factors=4, epochs=60, batch=64, learning_rate=0.05)),
    ],
)
def test_training_finds_the_items_that_go_together(fit, config) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Each user chose among the first six items or among the last six."""
    rng = np.random.default_rng(8)
    items = np.concatenate([user % 2 * 6 + rng.permutation(6)[:5] for user in range(40)])
    data = training(np.repeat(np.arange(40), 5).tolist(), items.tolist(), 12)
    data = replace(data, rewards=torch.full((200,), 3.0).index_fill(0, torch.tensor([0]), -4.0))
    known = histories([1, 2, 3], [7, 8, 9])
    scores = fit(config, data).scores(known._replace(rewards=known.rewards + 3))
    assert scores[0, [0, 4, 5]].min() > scores[0, 6:].max()
    assert scores[1, [6, 10, 11]].min() > scores[1, :6].max()
