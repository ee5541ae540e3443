"""Training batches: transitions or sequences, as tensors on one device."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

from torch import Tensor


class BatchSource(Protocol):
    """A dataset that batches are gathered from; a transition is named by its start, see `storage.dataset.reader`.

    frame: F; embedding: of the items, (I, D); encoded: whether observations are encoded states, (B, H).
    """

    frame: int
    embedding: Tensor
    encoded: bool

    def gather(self, starts: Tensor, out: Any = None) -> Iterable[Tensor]:
        """The members of `Batch` but `discount` for the transitions at `starts` (B,), written to `out` if given."""

    def gather_n_step(self, starts: Tensor, n: int, discount: float, out: Any = None) -> Iterable[Tensor]:
        """All members of `Batch` for n steps from each of the transitions at `starts` (B,)."""

    def windows(self, starts: Tensor, length: int, n: int, discount: float, shift: Tensor) -> Iterable[Tensor]:
        """Windows of events around the transitions at `starts` (B,): see `models.windows.gather_windows`."""

    def sequences(self, starts: Tensor, length: int) -> Iterable[Tensor]:
        """The members of `Sequences` that end with the actions of the transitions at `starts` (B,)."""


class Batch(NamedTuple):
    """B transitions; D is the item embedding's width, F the frame's length, S = F*D + F.

    Legend of shapes, all float32:
        observation       (B, S)   F embeddings, oldest first, then their F rewards
        action            (B, D)   the embedding of the event after the frame
        reward            (B,)     the rating by the dataset's reward map
        next_observation  (B, S)   the frame moved by one event
        terminal          (B,)     1 on the last transition of a history, else 0
        discount          (B,)     of n-step transitions; None: these are single steps

    Of m steps, as many as are left where they are fewer than n, reward is Σ_{k<m} γᵏ r_{t+k}, next_observation and terminal
    are those of the last of them, and discount is γᵐ.

    For learners with state encoders the observations are windows of events in which the B states are: see `models.windows`.
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor
    terminal: Tensor
    discount: Tensor | None = None


class Sequences(NamedTuple):
    """B sequences of events; every event but the first is an action taken in the state before it.

    items (B, L + 1) int64, padded on the left with -1; rewards (B, L + 1) float32; terminal (B,), 1 where the last event
    ends its history.
    """

    items: Tensor
    rewards: Tensor
    terminal: Tensor

    @property
    def before(self) -> tuple[Tensor, Tensor]:
        """Items and rewards, (B, L) each, without the last event: the states before the actions are made of them."""
        return self.items[:, :-1], self.rewards[:, :-1]

    @property
    def taken(self) -> Tensor:
        """Mask of the actions, (B, L) bool: place l stands for the event at l + 1, taken in the state after the event at l."""
        return (self.items[:, :-1] >= 0) & (self.items[:, 1:] >= 0)
