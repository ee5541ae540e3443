"""Diagnostics of training on a held-out batch: the critics' values, and the policy's actions beside the logged ones."""

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from models.learners.entry import ActionComparison
from models.threads import one_thread

QUANTILES = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}
AMONG = 128  # actions whose pairwise distances are computed
COMPONENTS = 8  # principal components in which the two distributions of actions are compared
RIDGE = 1e-3  # of the logged actions' mean variance there: keeps the divergence of collapsed actions finite
SATURATED = 0.99  # fraction of the largest coordinate above which a tanh has almost no gradient


@one_thread()  # such small matrices gain nothing from a second one, and wait for it where cores are shared
def diagnose(found: ActionComparison) -> dict[str, float]:
    """All diagnostics of what a learner's `compare` found: of its actions, and of values (B,) by name, as `value_<name>…`."""
    metrics = action_diagnostics(found.actions, found.logged, found.max_action)
    for name, values in found.values.items():
        metrics |= moments_and_quantiles(f"value_{name}", values)
    return metrics


def action_diagnostics(actions: Tensor, logged: Tensor, max_action: float | None = None) -> dict[str, float]:
    """Distances of a policy's actions (B, D) to those logged in the same states, and among one another.

    Args:
        actions: the policy's, (B, D), B ≥ 2.
        logged: (B, D).
        max_action: the bound of an action's coordinates, if there is one.
    """
    some = actions[:: max(1, len(actions) // AMONG)][:AMONG]  # evenly spaced, because a batch is sorted by user
    first, second = torch.triu_indices(len(some), len(some), 1, device=some.device)
    directions = normalize(some, dim=1)
    found = {
        "kl_to_logged": kl_to_logged(actions, logged),
        "action_effective_rank": effective_rank(actions),
        "action_gram_off_diagonal": float((some @ some.T)[first, second].mean()),
    }
    for name, sample in (
        ("action_cosine_to_logged", 1 - cosine_similarity(actions, logged)),
        ("action_euclidean_to_logged", (actions - logged).norm(dim=1)),
        ("action_cosine_among", 1 - (directions @ directions.T)[first, second]),
        ("action_euclidean_among", torch.pdist(some)),
    ):
        found |= moments_and_quantiles(name, sample)
    if max_action is not None:
        found["action_saturation"] = float((actions.abs() >= SATURATED * max_action).float().mean())
    return found


def moments_and_quantiles(name: str, sample: Tensor) -> dict[str, float]:
    """Mean, standard deviation (without correction) and quantiles of a sample (N,)."""
    sample = sample.double()
    levels = torch.tensor(list(QUANTILES.values()), dtype=torch.float64, device=sample.device)
    moments = torch.stack((sample.mean(), sample.std(correction=0)))
    mean, std, *quantiles = torch.cat((moments, torch.quantile(sample, levels))).tolist()
    return {name: mean, f"{name}_std": std} | {
        f"{name}_{level}": value for level, value in zip(QUANTILES, quantiles, strict=True)
    }


def effective_rank(actions: Tensor) -> float:
    """The exponential of the entropy of the Gram matrix's eigenvalues, for actions (B, D) of unit length (Roy & Vetterli 2007).

    From 1 (all actions have the same direction) to min(B, D).
    """
    directions = normalize(actions.double(), dim=1)
    # The same as the Gram matrix's, except zeros.
    spectrum = torch.linalg.eigvalsh(directions.T @ directions).clamp_min(0)
    share = spectrum / spectrum.sum().clamp_min(1e-12)
    return float(torch.exp(torch.special.entr(share).sum()))


def kl_to_logged(actions: Tensor, logged: Tensor) -> float:
    """KL(policy ‖ logged) in nats between Gaussians fitted to both sets of actions (B, D).

    Computed in the logged actions' first principal components, for which B rows are enough. Large if the policy leaves the
    region of the logged actions, or covers a small part of it.
    """
    actions, logged = actions.double(), logged.double()
    mean = logged.mean(0)
    variances, axes = torch.linalg.eigh(torch.cov((logged - mean).T, correction=0).reshape(len(mean), len(mean)))
    variances, axes = variances[-COMPONENTS:], axes[:, -COMPONENTS:]
    ridge = RIDGE * variances.mean().clamp_min(1e-12)
    variances = variances.clamp_min(0) + ridge
    projected = (actions - mean) @ axes
    k = len(variances)
    shift = projected.mean(0)
    covariance = torch.cov(projected.T, correction=0).reshape(k, k) + ridge * torch.eye(k, device=actions.device)
    # ½ (tr Σ⁻¹Σ_π + Δᵀ Σ⁻¹ Δ - k + ln |Σ| / |Σ_π|), Σ diagonal in its own components
    spread = (covariance.diagonal() / variances).sum() + (shift.square() / variances).sum()
    return float((spread - k + variances.log().sum() - torch.logdet(covariance)) / 2)
