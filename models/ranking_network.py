"""A network that re-ranks the items nearest to an action: it learns which of them the user chose (RecNN's article)."""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from models.networks import Critics
from models.wolpertinger import standardised


class RankerConfig(BaseModel):
    """Size and training of a ranking network, which is trained when the actor is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: int = Field(
        0,
        ge=0,
        le=1000,
        description="k, how many items nearest to the action are re-ranked [RecNN's article]; 0: none.",
    )
    steps: int = Field(2000, ge=1, le=10_000_000, description="Updates, after the actor's training.")
    batch: int = Field(256, ge=1, le=1_000_000, description="Transitions per update.")
    learning_rate: float = Field(3e-4, gt=0, le=0.1, description="Learning rate of Adam.")


class RankingNetwork(nn.Module):
    """g(s, a, e) = w n(a, e) + f(s, a, e) of candidates e near an action a; softmax gives the chance that each is chosen next.

    n is the nearness of e to a, standardised over the candidates; w is learnt and starts at 1. f is two hidden layers, whose
    last starts near 0, so that training begins with the order by nearness.
    """

    def __init__(self, observation_dim: int, action_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.of_nearness = nn.Parameter(torch.ones(()))
        self.layers = Critics(1, observation_dim + action_dim, action_dim, hidden_dim, last_bound=1e-3)

    def forward(self, state: Tensor, action: Tensor, vectors: Tensor, nearness: Tensor) -> Tensor:
        """Logits (B, C) of candidates.

        Args:
            state: s, (B, S), of the actor's state encoder if it has one.
            action: a, (B, D).
            vectors: the candidates' embeddings, (B, C, D).
            nearness: their scores by nearness to the action, (B, C).
        """
        of_nearness = self.of_nearness * standardised(nearness, torch.ones_like(nearness, dtype=torch.bool))
        return of_nearness + self.layers.of_several(torch.cat((state, action), 1), vectors)[0]
