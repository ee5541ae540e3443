"""State encoders: the state after every event of a history.

Histories are padded on the left: vectors (B, L, D) and rewards (B, L) are zero where the mask `there`, (B, L) bool, is false.
Padding does not influence the states of events, (B, L, H).
"""

from typing import Literal

import torch
from torch import Tensor, nn

from models.ranks import by_rows

StateName = Literal["frame", "gru", "attention"]
LONGEST = 1000  # events with a learnt position
HEADS = 2


class FrameState(nn.Module):
    """The article's flat observation at every event, `[e_1 … e_F | r_1 … r_F]`, then one hidden layer.

    Missing events are zeros.
    """

    def __init__(self, dim: int, width: int, frame: int) -> None:
        super().__init__()
        self.frame = frame
        self.layer = nn.Linear(frame * dim + frame, width)

    def forward(self, vectors: Tensor, rewards: Tensor, there: Tensor) -> Tensor:
        """States (B, L, H)."""
        events = torch.cat((vectors, rewards.unsqueeze(-1)), dim=-1)
        padded = nn.functional.pad(events, (0, 0, self.frame - 1, 0))
        windows = padded.unfold(1, self.frame, 1)  # (B, L, D + 1, F)
        embedded, reward = windows[:, :, :-1].transpose(2, 3).flatten(2), windows[:, :, -1]
        states: Tensor = torch.relu(by_rows(self.layer, torch.cat((embedded, reward), dim=-1)))
        return states


class GruState(nn.Module):
    """A gated recurrent unit over a history's events (Cho et al. 2014; for recommendation, Hidasi et al. 2016)."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(dim + 1, width, batch_first=True)

    def forward(self, vectors: Tensor, rewards: Tensor, there: Tensor) -> Tensor:
        """States (B, L, H)."""
        # Padding is moved behind the events, because the biases would change the state over padding.
        events = torch.cat((vectors, rewards.unsqueeze(-1)), dim=-1)
        place = torch.arange(there.shape[1], device=there.device)
        empty = (~there).sum(1, keepdim=True)
        states = by_rows(lambda rows: self.gru(rows)[0], rows_at(events, (place + empty) % there.shape[1]))
        return rows_at(states, (place - empty) % there.shape[1])


class AttentionState(nn.Module):
    """Causal self-attention over a history's events, two blocks (Kang & McAuley 2018, SASRec).

    Positions are counted backwards from the newest event.
    """

    def __init__(self, dim: int, width: int, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Linear(dim + 1, width)
        self.place = nn.Parameter(torch.zeros(LONGEST + 1, width))  # zeros for events further back
        block = nn.TransformerEncoderLayer(width, HEADS, width, dropout=dropout, batch_first=True, norm_first=True)
        block.self_attn.dropout = 0.0  # of attention weights: it is slow, and coordinates are dropped already
        self.blocks = nn.TransformerEncoder(block, 2, norm=nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, vectors: Tensor, rewards: Tensor, there: Tensor) -> Tensor:
        """States (B, L, H)."""
        length = vectors.shape[1]
        events = self.enter(torch.cat((vectors, rewards.unsqueeze(-1)), dim=-1)) + self.place[:length].flip(0)
        place = torch.arange(length, device=there.device)
        later, own = place > place.unsqueeze(1), place == place.unsqueeze(1)
        # Padding attends to itself: with nothing to attend to it would be NaN, and the next block would spread it.
        masked = (later | ~there.unsqueeze(1)) & ~own
        states: Tensor = self.blocks(events, mask=masked.repeat_interleave(HEADS, 0))
        return states


def rows_at(values: Tensor, places: Tensor) -> Tensor:
    """Reorder each history's vectors, (B, L, D), by `places`, (B, L)."""
    return values.gather(1, places.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


def make_state(name: StateName, dim: int, width: int, frame: int, dropout: float = 0.2) -> nn.Module:
    """The state encoder of that name; `dropout` is that of the blocks of attention."""
    if name == "frame":
        return FrameState(dim, width, frame)
    return GruState(dim, width) if name == "gru" else AttentionState(dim, width, dropout)


def need_whole_heads(name: StateName, width: int) -> None:
    """Refuse a width that the heads of attention cannot share.

    Raises:
        ValueError: it is one.
    """
    if name == "attention" and width % HEADS:
        raise ValueError(
            f"width: expected a multiple of {HEADS} for the state attention; found {width}. Set another width."
        )
