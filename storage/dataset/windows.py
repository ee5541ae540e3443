"""Windows of events that several transitions share, for state encoders."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from storage.dataset.reader import TransitionDataset


def windows_of(
    data: "TransitionDataset", starts: Tensor, length: int, n: int, discount: float, shift: Tensor
) -> tuple[Tensor, ...]:
    """The windows around some transitions, and the N transitions in them, window by window and in order.

    A window's last transition is `shift` transitions after the start, or the history's last one; those at or before the time
    cut are not followed by later ones. Before its action the window has up to `length` events. Its other transitions are
    those before the last one that have F events in the window before their action.

    Args:
        data: the dataset.
        starts: (B,) int64, each in the window that it stands for if `shift` is less than length - F + 1.
        length: events before the last action.
        n: steps of a transition.
        discount: γ.
        shift: (B,) int64.

    Returns:
        items (B, W) int64 and rewards (B, W) float32, padded on the left with -1 and 0;
        how many transitions are in the state after each event, and how many end in it, (B, W) int64, -1 where there is none;
        action (N, D), reward (N,), terminal (N,) and discount (N,) as of `gather_n_step`.
    """
    starts = starts.to(data.item.device)
    ends = starts + torch.minimum(shift, data.steps_left(starts) - 1)
    users, frame = data.users_of(ends), data.frame
    counts = (ends - data.offset[users] + 1).clamp_max(max(1, length - frame + 1))
    # Each transition's window and start.
    window = torch.arange(len(ends), device=ends.device).repeat_interleave(counts)
    place = torch.arange(len(window), device=ends.device) - (counts.cumsum(0) - counts)[window]
    begins = (ends - counts + 1)[window] + place
    steps = data.steps_left(begins).clamp_max(n)
    # The window reaches from the first event that its last state sees to the newest event of its last next state.
    first = torch.maximum(data.offset[users], ends + frame - length)
    stop = ends + frame + data.steps_left(ends).clamp_max(n)
    items, rewards = data.events_between(first, stop)
    width = items.shape[1]
    before = window * width + begins + frame - 1 - (stop[window] - width)

    def counted(places: Tensor) -> Tensor:
        found = torch.bincount(places, minlength=items.numel()).view(items.shape)
        return found.where(items >= 0, -1)

    last = begins + steps - 1
    return (
        items,
        rewards,
        counted(before),
        counted(before + steps),
        data.embedding[data.target_items(begins)],
        data.rewards_ahead(begins, steps, n, discount),
        (last + frame + 1 == data.offset[users[window] + 1]).float(),
        discount**steps,
    )
