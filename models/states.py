"""State encoders: what a ranking policy makes of a history, at every event of it."""

from typing import Literal

import torch
from torch import Tensor, nn

StateName = Literal["frame", "gru", "attention"]
LONGEST = 1000  # events that have a place of their own


class FrameState(nn.Module):
    """The article's flat observation at every event, `[e_1 … e_F | r_1 … r_F]`, then one hidden layer.

    Shapes: vectors (B, L, D), rewards (B, L) → states (B, L, H). Events before a history's first are zeros.
    """

    def __init__(self, dim: int, width: int, frame: int) -> None:
        super().__init__()
        self.frame = frame
        self.layer = nn.Linear(frame * dim + frame, width)

    def forward(self, vectors: Tensor, rewards: Tensor) -> Tensor:
        """States (B, L, H)."""
        events = torch.cat((vectors, rewards.unsqueeze(-1)), dim=-1)
        padded = nn.functional.pad(events, (0, 0, self.frame - 1, 0))
        windows = padded.unfold(1, self.frame, 1)  # (B, L, D + 1, F)
        embedded, reward = windows[:, :, :-1].transpose(2, 3).flatten(2), windows[:, :, -1]
        states: Tensor = torch.relu(self.layer(torch.cat((embedded, reward), dim=-1)))
        return states


class GruState(nn.Module):
    """A gated recurrent unit over a history's events (Cho et al. 2014; for recommendation, Hidasi et al. 2016).

    Shapes: vectors (B, L, D), rewards (B, L) → states (B, L, H).
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(dim + 1, width, batch_first=True)

    def forward(self, vectors: Tensor, rewards: Tensor) -> Tensor:
        """States (B, L, H)."""
        states: Tensor = self.gru(torch.cat((vectors, rewards.unsqueeze(-1)), dim=-1))[0]
        return states


class AttentionState(nn.Module):
    """Causal self-attention over a history's events, two blocks (Kang & McAuley 2018, SASRec).

    Shapes: vectors (B, L, D), rewards (B, L) → states (B, L, H). Places are counted from the newest event back.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Linear(dim + 1, width)
        self.place = nn.Parameter(torch.randn(LONGEST, width) * 0.02)
        block = nn.TransformerEncoderLayer(width, 2, width, dropout=0.2, batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)

    def forward(self, vectors: Tensor, rewards: Tensor) -> Tensor:
        """States (B, L, H)."""
        length = vectors.shape[1]
        events = self.enter(torch.cat((vectors, rewards.unsqueeze(-1)), dim=-1)) + self.place[:length].flip(0)
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=vectors.device)
        states: Tensor = self.blocks(events, mask=mask, is_causal=True)
        return states


def make_state(name: StateName, dim: int, width: int, frame: int) -> nn.Module:
    """The state encoder of that name."""
    if name == "frame":
        return FrameState(dim, width, frame)
    return GruState(dim, width) if name == "gru" else AttentionState(dim, width)
