"""What a learner learns from: one batch of transitions, as tensors on one device."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """B transitions; D is the item embedding's width, F the frame's length, S = F*D + F.

    Legend of shapes, all float32:
        observation       (B, S)   F embeddings, oldest first, then their F rewards
        action            (B, D)   the embedding of the event after the frame
        reward            (B,)     2 * (rating - 2.5) for MovieLens: -4 … 5
        next_observation  (B, S)   the frame moved by one event
        terminal          (B,)     1 on the last transition of a history, else 0
    """

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor
    terminal: Tensor
