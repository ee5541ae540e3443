import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.batch import Batch
from models.diagnostics import (
    COMPONENTS,
    RIDGE,
    action_diagnostics,
    diagnose,
    effective_rank,
    kl_to_logged,
    moments_and_quantiles,
)
from models.learners.policy_learning import PolicyLearningConfig
from models.learners.registry import make_learner
from models.learners.td3 import TD3Config
from models.space import Space

RNG = np.random.default_rng(0)
Matrix = NDArray[np.float32]


def actions(rows: int, dim: int = 12) -> Matrix:
    return (RNG.normal(size=(rows, dim)) @ RNG.normal(size=(dim, dim))).astype(np.float32)


def test_moments_and_quantiles_are_numpys() -> None:
    sample = RNG.normal(size=101).astype(np.float32) * 30 + 4
    found = moments_and_quantiles("x", torch.from_numpy(sample))
    levels = np.quantile(sample.astype(np.float64), (0.05, 0.25, 0.5, 0.75, 0.95))
    assert list(found) == ["x", "x_std", "x_q05", "x_q25", "x_q50", "x_q75", "x_q95"]
    assert np.allclose(list(found.values()), [sample.mean(), sample.std(), *levels], rtol=1e-5)


def test_distances_are_numpys() -> None:
    mine, logged = actions(40), actions(40)
    found = action_diagnostics(torch.from_numpy(mine), torch.from_numpy(logged), max_action=float(np.abs(mine).max()))
    unit, unit_logged = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (mine, logged))
    above = np.triu_indices(40, 1)
    assert found["action_cosine_to_logged"] == pytest.approx((1 - (unit * unit_logged).sum(1)).mean(), rel=1e-4)
    assert found["action_cosine_among"] == pytest.approx((1 - unit @ unit.T)[above].mean(), rel=1e-4)
    assert found["action_euclidean_to_logged_q50"] == pytest.approx(np.median(np.linalg.norm(mine - logged, axis=1)))
    apart = np.linalg.norm(mine[:, None] - mine[None], axis=2)[above]
    assert found["action_euclidean_among_std"] == pytest.approx(apart.std(), rel=1e-4)
    assert found["action_gram_off_diagonal"] == pytest.approx((mine @ mine.T)[above].mean(), rel=1e-3)
    assert found["action_saturation"] == pytest.approx(1 / mine.size)


def test_effective_rank_is_between_one_and_the_dimensions() -> None:
    assert effective_rank(torch.eye(6)) == pytest.approx(6)
    assert effective_rank(torch.ones(9, 6)) == pytest.approx(1)
    x = actions(50)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    share = np.linalg.eigvalsh((unit.T @ unit).astype(np.float64)) / 50
    assert effective_rank(torch.from_numpy(x)) == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-4)


def test_divergence_is_that_of_two_gaussians() -> None:
    mine, logged = actions(300).astype(np.float64) + 0.3, actions(300).astype(np.float64)
    values, axes = np.linalg.eigh(np.cov(logged.T, bias=True))
    axes, ridge = axes[:, -COMPONENTS:], RIDGE * values[-COMPONENTS:].mean() * np.eye(COMPONENTS)
    p, q = (np.cov((rows @ axes).T, bias=True) + ridge for rows in (mine, logged))
    shift = (mine.mean(0) - logged.mean(0)) @ axes
    inverse = np.linalg.inv(q)
    log_ratio = np.linalg.slogdet(q)[1] - np.linalg.slogdet(p)[1]
    expected = (np.trace(inverse @ p) + shift @ inverse @ shift - COMPONENTS + log_ratio) / 2
    assert kl_to_logged(torch.from_numpy(mine), torch.from_numpy(logged)) == pytest.approx(expected, rel=1e-6)
    assert kl_to_logged(torch.from_numpy(logged), torch.from_numpy(logged)) == pytest.approx(0, abs=1e-9)


def test_divergence_stays_finite_and_large_when_actions_collapse() -> None:
    logged = torch.from_numpy(actions(200))
    assert 5 < kl_to_logged(logged[:1].expand(200, -1), logged) < 1e3
    assert np.isfinite(kl_to_logged(torch.randn(4, 3), torch.zeros(4, 3)))


def batch(rows: int = 30) -> Batch:
    generator = torch.Generator().manual_seed(1)
    s, s_next = torch.randn((2, rows, 3), generator=generator)
    return Batch(s, torch.rand((rows, 2), generator=generator), s[:, 0].clamp(-1, 1), s_next, torch.zeros(rows))


def test_values_are_those_of_the_losses() -> None:
    learner = make_learner(TD3Config(hidden_dim=8), Space(3, 2, 1.0, -4.0, 5.0), "cpu", 0)
    found, losses = diagnose(learner.compare(batch())), learner.losses(batch())
    for name in ("value_logged", "value_policy", "value_target"):
        assert found[name] == pytest.approx(float(losses[name]), rel=1e-4)
        assert found[f"{name}_q05"] < found[f"{name}_q50"] < found[f"{name}_q95"]


def test_learners_without_a_critic_have_no_values() -> None:
    learner = make_learner(PolicyLearningConfig(hidden_dim=8), Space(3, 2, 1.0, -4.0, 5.0), "cpu", 0)
    found = diagnose(learner.compare(batch()))
    assert not [name for name in found if name.startswith("value")]
    assert "kl_to_logged" in found


def test_clipped_steps_are_counted() -> None:
    for most, share in ((1e-9, 1.0), (1e9, 0.0)):
        config = TD3Config(hidden_dim=8, policy_delay=1, optimiser={"max_gradient_norm": most})  # type: ignore[arg-type]
        metrics = make_learner(config, Space(3, 2, 1.0, -4.0, 5.0), "cpu", 0).update(batch())
        assert float(metrics["actor_steps_clipped"]) == float(metrics["critic_steps_clipped"]) == share
