"""BCQ: its losses and first gradients against NumPy in float64, its candidates, its stored policy."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from unit.models.equations_support import (
    LIMIT,
    RATE,
    TD,
    Array,
    B,
    D,
    S,
    batch,
    critic,
    learner_of,
    need_descent,
    need_followed,
    weights_of,
)

from models.batch import Batch
from models.batch_constrained import Perturbation
from models.errors import PolicyError
from models.histories import Histories
from models.learners.bcq import BCQ, BCQConfig
from models.space import Space
from serving.stored_policies import load_policy

Z, N, PHI = 3, 4, 0.3
SIZES = {"latent_dim": Z, "samples": N, "perturbation": PHI}


def with_vectors(w: list[Array], s: Array, x: Array) -> Array:
    """A network of states (B, S) and vectors (B, C, X): (B, C, out)."""
    h = np.maximum((s @ w[0].T + w[1])[:, None] + x @ w[2].T, 0)
    h = np.maximum(h @ w[3].T + w[4], 0)
    found: Array = h @ w[5].T + w[6]
    return found


def perturbed(w: list[Array], s: Array, a: Array) -> Array:
    """A + ξ(s, a), (B, C, D)."""
    found: Array = np.clip(a + PHI * LIMIT * np.tanh(with_vectors(w, s, a)), -LIMIT, LIMIT)
    return found


def decoded(w: list[Array], s: Array, z: Array) -> Array:
    return LIMIT * np.tanh(with_vectors(w, s, z))


def of_each(w: list[Array], n: int, s: Array, a: Array) -> Array:
    """Q_n of C actions in each state, (B, C)."""
    return np.stack([critic(w, n, s, a[:, place]) for place in range(a.shape[1])], 1)


def drawn() -> tuple[Array, Array, Array]:
    """What a learner of seed 0 draws in its first update, after the latent vectors that it keeps."""
    generator = torch.Generator().manual_seed(0)
    torch.randn((N, Z), generator=generator)
    noise, of_target, of_actor = (torch.randn(shape, generator=generator) for shape in ((B, Z), (N, Z), (B, 1, Z)))
    return tuple(part.double().numpy() for part in (noise, of_target.clamp(-0.5, 0.5), of_actor.clamp(-0.5, 0.5)))  # type: ignore[return-value]


def test_a_whole_update_equals_numpy_in_float64() -> None:
    """The generator first; then the critics, with the new generator; then ξ, with the new generator and Q1; then the targets."""
    settings = TD | SIZES | {"target_rate": 0.3, "minimum_weight": 0.6, "vae_learning_rate": RATE}
    learner = learner_of(BCQConfig(**settings, divergence_weight=0.7))
    assert isinstance(learner, BCQ)
    logged, (noise, of_target, of_actor) = batch(), drawn()
    s, a, r, s_next, d = (part.numpy() for part in logged[:5])
    vae, policy, critics = (weights_of(part) for part in (learner.vae, learner.policy, learner.critics))
    slow_policy, slow_critics = weights_of(learner.target_policy), weights_of(learner.target_critics)

    metrics = learner.update(logged)

    def vae_loss(w: list[Array]) -> float:
        mean, log_deviation = np.split(with_vectors(w[:7], s, a[:, None])[:, 0], 2, axis=1)
        rebuilt = decoded(w[7:], s, (mean + np.exp(log_deviation) * noise)[:, None])[:, 0]
        divergence = -0.5 * (1 + 2 * log_deviation - mean**2 - np.exp(2 * log_deviation))
        return float(((rebuilt - a) ** 2).mean() / (a**2).mean() + 0.7 * divergence.mean())

    assert float(metrics["vae_loss"]) == pytest.approx(vae_loss(vae), rel=1e-10)
    need_descent(vae, learner.vae, vae_loss)

    decoder = weights_of(learner.vae.decoder)
    candidates = perturbed(slow_policy, s_next, decoded(decoder, s_next, np.broadcast_to(of_target, (B, N, Z))))
    q = np.stack([of_each(slow_critics, n, s_next, candidates) for n in range(2)])
    y = r + 0.9 * (1 - d) * (0.6 * q.min(0) + 0.4 * q.max(0)).max(1)

    def critic_loss(w: list[Array]) -> float:
        return float(sum(np.mean((critic(w, n, s, a) - y) ** 2) for n in range(2)))

    assert float(metrics["critic_loss"]) == pytest.approx(critic_loss(critics), rel=1e-10)
    need_descent(critics, learner.critics, critic_loss)

    moved, near = weights_of(learner.critics), decoded(decoder, s, of_actor)

    def actor_loss(w: list[Array]) -> float:
        return float(-critic(moved, 0, s, perturbed(w, s, near)[:, 0]).mean())

    assert float(metrics["actor_loss"]) == pytest.approx(actor_loss(policy), rel=1e-10)
    need_descent(policy, learner.policy, actor_loss)
    need_followed(slow_policy, learner.target_policy, learner.policy, 0.3)
    need_followed(slow_critics, learner.target_critics, learner.critics, 0.3)


def test_acts_by_the_candidate_with_the_largest_first_value() -> None:
    learner = learner_of(BCQConfig(**TD, **SIZES))
    assert isinstance(learner, BCQ)
    s = batch().observation.numpy()
    kept = np.broadcast_to(learner.vae.decoder.latents.numpy(), (B, N, Z))
    assert np.abs(kept).max() <= 0.5
    candidates = perturbed(weights_of(learner.policy), s, decoded(weights_of(learner.vae.decoder), s, kept))
    best = of_each(weights_of(learner.critics), 0, s, candidates).argmax(1)
    assert len(set(best)) > 1
    np.testing.assert_allclose(learner.act(batch().observation).numpy(), candidates[np.arange(B), best], rtol=1e-10)


def test_perturbed_actions_move_by_phi_at_most_and_stay_within_the_bounds() -> None:
    torch.manual_seed(0)
    perturbation = Perturbation(S, D, 8, LIMIT, PHI, "float32")
    with torch.no_grad():
        for parameter in perturbation.parameters():
            parameter.mul_(100)  # so that every tanh is at an end
        inner, at_the_bound = torch.zeros(B, 1, D), torch.full((B, 1, D), LIMIT)
        s = batch().observation.float()
        torch.testing.assert_close(perturbation(s, inner).abs(), torch.full((B, 1, D), PHI * LIMIT))
        moved = perturbation(s, at_the_bound)
    assert moved.abs().max() <= LIMIT
    assert (moved == LIMIT).any()
    assert (moved < LIMIT).any()


def two_kinds(rows: int, seed: int) -> Batch:
    """Logged actions lie near (±½, ±½) on a diagonal, never between; the reward grows with the first coordinate, to where nobody acted."""
    g = torch.Generator().manual_seed(seed)
    kind = (torch.rand((rows, 1), generator=g) < 0.5).float() * 2 - 1
    action = 0.5 * kind * torch.ones(rows, D) + 0.05 * torch.randn((rows, D), generator=g)
    state = torch.randn((rows, S), generator=g)
    return Batch(state, action, action[:, 0], torch.randn((rows, S), generator=g), torch.ones(rows))


def test_candidates_are_of_both_kinds_and_actions_stay_near_the_better_one() -> None:
    """The mean of the log is (0, 0), where nobody acted; a plain actor would go to (1, ·)."""
    config = BCQConfig(hidden_dim=32, samples=20, latent_dim=4, actor_learning_rate=3e-3, critic_learning_rate=3e-3)
    torch.manual_seed(0)
    learner = BCQ(
        config.model_copy(update={"vae_learning_rate": 3e-3}), Space(S, D, 1.0, -1.0, 1.0), torch.device("cpu"), 0
    )
    for step in range(400):
        learner.update(two_kinds(64, step))
    s = two_kinds(100, 10_000).observation
    first = learner.generated(s, learner.config.samples)[..., 0]
    assert 0.1 < (first > 0).float().mean() < 0.9
    actions = learner.act(s)
    distance = (actions - 0.5).norm(dim=1)
    assert distance.median() < 0.2, distance.median()


def items(count: int = 12) -> torch.Tensor:
    return torch.randn((count, D), generator=torch.Generator().manual_seed(1))


def stored(folder: Path, **changes: Any) -> Any:
    """A small policy's files in a folder; its frame has two events."""
    embedding = items()
    settings = {"hidden_dim": 8, **SIZES} | changes
    torch.manual_seed(0)
    learner = BCQ(BCQConfig.model_validate(settings), Space.of(embedding, 2, (-4.0, 5.0)), torch.device("cpu"), 0)
    policy = learner.recommender(embedding, "cosine")
    save_file(policy.tensors(), folder / "policy.safetensors")
    (folder / "config.json").write_text(json.dumps(policy.config()))
    return policy


@pytest.mark.parametrize("candidates", [0, 5])
def test_a_stored_policy_ranks_as_before(tmp_path: Path, candidates: int) -> None:
    policy = stored(tmp_path, critic_candidates=candidates)
    again = load_policy(tmp_path, items())
    probe = Histories(torch.randint(12, (6, 4), generator=torch.Generator().manual_seed(2)), torch.ones(6, 4))
    assert type(again) is type(policy)
    assert torch.equal(again.act(probe), policy.act(probe))
    assert torch.equal(again.scores(probe), policy.scores(probe))
    plain = policy.nearest.scores(policy.act(probe))
    assert torch.equal(policy.scores(probe), plain) == (candidates == 0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"format": "marquee-batch-constrained-policy/9"}, "expected format"),
        ({"samples": 0}, "samples: Input should be greater than or equal to 1"),
        ({"samples": N + 1}, "fit its config"),
        ({"latent_dim": Z + 1}, "fit its config"),
        ({"latent_dim": 10**6}, "latent_dim: Input should be less than or equal to 8192"),
        ({"perturbation": 2.0}, "perturbation: Input should be less than or equal to 1"),
        ({"critics": 3}, "fit its config"),
        ({"action_dim": D + 1}, "embeddings of 2 numbers"),
    ],
)
def test_a_stored_policy_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    policy = stored(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(policy.config() | change))
    with pytest.raises(PolicyError, match=expected):
        load_policy(tmp_path, items())


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    tensors = stored(tmp_path).tensors()
    tensors["best.decoder.latents"][0, 0] = torch.nan
    save_file(tensors, tmp_path / "policy.safetensors")
    with pytest.raises(PolicyError, match=r"NaN or infinity in best\.decoder\.latents"):
        load_policy(tmp_path, items())
