"""The learnt terms of a ranking policy in NumPy, in float64, and gradients by central differences."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from unit.models.ranking_support import DATA, DIM, ITEMS

from models.batch import Sequences
from models.optimisers import OptimiserConfig

Array = NDArray[np.float64]
RATE = 1e-3
# With this a first update moves the weights by RATE times the gradient.
DESCENT: dict[str, Any] = {
    "optimiser": OptimiserConfig(name="sgd", momentum=0, max_gradient_norm=1e9),
    "item_decay": 0.0,
}


def weights_by_name(policy: torch.nn.Module, **heads: torch.nn.Module) -> dict[str, Array]:
    """The weights of a policy's learnt terms by their names, and those of its heads by prefixed names."""
    found = {name: value for name, value in policy.named_parameters() if not name.startswith("critics")}
    for head, module in heads.items():
        found |= dict(module.named_parameters(prefix=head))
    return {name: value.detach().numpy().copy() for name, value in found.items()}


class WrittenRanking:
    """Logits of the N logged actions of a batch; the state is `frame`, of four events, and item vectors are free."""

    def __init__(self, batch: Sequences) -> None:
        self.known = np.arange(ITEMS - 1)  # the last item has no training events
        self.counts = DATA.counts.double().numpy()
        self.items, self.rewards = batch.items.numpy(), batch.rewards.numpy()
        self.there = (self.items[:, :-1] >= 0) & (self.items[:, 1:] >= 0)
        self.target = self.items[:, 1:][self.there]

    def states(self, w: dict[str, Array], later: int = 0) -> Array:
        """The states in which the actions were taken, or `later` events after that, (N, H)."""
        events = np.zeros((*self.items.shape, DIM + 1))
        present = self.items >= 0
        events[present, :DIM] = w["free"][self.items[present]] * DIM**0.5
        events[..., DIM] = self.rewards / 5
        flat = []
        for row, place in zip(*np.nonzero(self.there), strict=True):
            window = np.zeros((4, DIM + 1))
            latest = events[row, max(0, place + later - 3) : place + later + 1]
            window[4 - len(latest) :] = latest
            flat.append(np.concatenate((window[:, :DIM].ravel(), window[:, DIM])))
        hidden = np.array(flat) @ w["state_encoder.layer.weight"].T + w["state_encoder.layer.bias"]
        return np.maximum(hidden, 0)

    def logits(self, w: dict[str, Array], states: Array) -> Array:
        """Scores of the known items, (N, I - 1)."""
        action = states @ w["head.weight"].T + w["head.bias"]
        action /= np.linalg.norm(action, axis=1, keepdims=True)
        scores = w["action_scale"] * action @ w["free"][self.known].T
        found: Array = scores + w["popularity"] * np.log1p(self.counts[self.known])
        return found

    def log_share(self, scores: Array) -> Array:
        """Log-probabilities of the logged items, (N,)."""
        chosen = scores[np.arange(len(scores)), self.target]
        found: Array = chosen - np.log(np.exp(scores).sum(1))
        return found


def some_slopes(loss: Callable[[], float], value: Array, most: int = 12) -> Iterator[tuple[Any, float]]:
    """Places of an array that `loss` depends on, and the slopes there by central differences."""
    for one in np.random.default_rng(0).permutation(value.size)[:most]:
        place = np.unravel_index(one, value.shape)
        kept = value[place]
        value[place] = kept + 1e-6
        above = loss()
        value[place] = kept - 1e-6
        slope = (above - loss()) / 2e-6
        value[place] = kept
        yield place, slope
