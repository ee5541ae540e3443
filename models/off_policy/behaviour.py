"""The fitted behaviour policy μ(a | h): with what probability people choose each item next."""

from dataclasses import dataclass

import torch
from torch import Tensor

from models.errors import LearnerError
from models.off_policy.features import OF_HISTORY

STEPS = 20  # of Newton's method; it needs about six
LEAST_FLOOR = 0.01


@dataclass(frozen=True)
class Behaviour:
    """A multinomial logit (McFadden 1974) over all unseen items, mixed with the uniform so that no item is impossible.

    μ(a | h) = (1 - floor) softmax_a(w · x(h, a)) + floor / number of unseen items.

    Legend of shapes:
        weights  (F - 3,) float32, of the features that depend on the item
    """

    weights: Tensor
    floor: float

    def log_probabilities(self, features: Tensor, seen: Tensor) -> Tensor:
        """Log μ, (B, I), of features (B, I, F); -inf for `seen` items, (B, I) bool."""
        return mixed((features[..., OF_HISTORY:] @ self.weights).masked_fill(seen, -torch.inf), self.floor)


def mixed(utilities: Tensor, floor: float) -> Tensor:
    """log((1 - floor) softmax + floor × uniform), both over the items of finite utility: (B, I)."""
    possible = utilities.isfinite()
    uniform = floor / possible.sum(1, keepdim=True).clamp_min(1)
    return torch.log((1 - floor) * utilities.softmax(1) + uniform).masked_fill(~possible, -torch.inf)


def fit_behaviour(features: Tensor, seen: Tensor, chosen: Tensor) -> Behaviour:
    """Fit the weights by maximum likelihood with Newton's method (the likelihood is concave), then the floor by EM.

    The features are fit on other users' events, and there are few weights: fitted on users that the features have not seen,
    the probabilities are calibrated for further such users.

    Args:
        features: (S, I, F), of S steps.
        seen: (S, I) bool, the items each user had rated before.
        chosen: (S,) int64, the item rated next; not seen before.

    Raises:
        LearnerError: there are no steps, or a chosen item was seen.
    """
    weights, share = fit_logit(features[..., OF_HISTORY:], seen, chosen)
    return Behaviour(weights, _floor(share, 1 / (~seen).sum(1)))


def fit_logit(x: Tensor, seen: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Fit a multinomial logit over all unseen items by maximum likelihood with Newton's method.

    Args:
        x: (S, I, C), features of S steps.
        seen: (S, I) bool, the items each user had rated before.
        chosen: (S,) int64, the item rated next; not seen before.

    Returns: the weights (C,), and the probability of each chosen item, (S,).

    Raises:
        LearnerError: there are no steps, or a chosen item was seen.
    """
    if len(chosen) == 0 or bool(seen.gather(1, chosen.unsqueeze(1)).any()):
        raise LearnerError(
            "behaviour: expected steps whose next item was not rated before; found none, or another. Give such steps."
        )
    own = x[torch.arange(len(chosen)), chosen]  # (S, C)
    scale = own.std(0).clamp_min(1e-6)  # standardised, so that Newton's method does not depend on units
    x, own = x / scale, own / scale
    weights = torch.zeros(x.shape[2])

    def likelihood(weights: Tensor) -> tuple[float, Tensor]:
        utilities = (x @ weights).masked_fill(seen, -torch.inf)
        log_share = utilities.log_softmax(1)
        return float(log_share.gather(1, chosen.unsqueeze(1)).double().mean()), log_share.exp()

    value, share = likelihood(weights)
    for _ in range(STEPS):
        mean = torch.einsum("si,sic->sc", share, x)
        slope = (own - mean).mean(0)
        flat = (x * share.unsqueeze(2)).flatten(0, 1)
        bend = (flat.T @ x.flatten(0, 1) - mean.T @ mean) / len(chosen)
        step = torch.linalg.solve(bend + 1e-4 * torch.eye(len(bend)), slope)
        size = 1.0
        while size > 1e-3:
            found, found_share = likelihood(weights + size * step)
            if found >= value:
                break
            size /= 2
        else:
            break
        weights, share, gained, value = weights + size * step, found_share, found - value, found
        if gained < 1e-7:
            break
    return weights / scale, share.gather(1, chosen.unsqueeze(1)).squeeze(1)


def _floor(share: Tensor, uniform: Tensor) -> float:
    """The maximum-likelihood weight of the uniform, at least 1 %: it bounds all importance weights."""
    floor = 0.05
    for _ in range(50):
        part = floor * uniform
        floor = float((part / ((1 - floor) * share + part)).mean())
    return max(floor, LEAST_FLOOR)
