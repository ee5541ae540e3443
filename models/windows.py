"""State encoders for actors and critics: windows of histories in, states out.

Each network has an encoder of its own, which the network's own loss trains: the actor's learns from the actor's loss, that of
the critics from the critics', and that of a target network follows with it. Recurrent TD3 and SAC learn better like this than
with one encoder for both, whose gradients differ in size by far (Ni, Eysenbach & Salakhutdinov 2022, arXiv:2110.05038).

A window is W events of one user. A batch holds B windows as one tensor, (B, W, D + 2): the embedding of each event, its reward,
and how many of the batch's transitions are in the state after it; -1 where there is no event. The N states of the batch come
out of one pass over each window, in the order of the events. So a batch of N transitions costs N encoded events, as for
sequence models, and not N histories.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from models.batch import Batch, BatchSource
from models.histories import Histories
from models.states import StateName, make_state, need_whole_heads


class StateConfig(BaseModel):
    """What the networks of a learner from transitions observe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: StateName = Field(
        "frame",
        description="frame: the dataset's observation, its latest F events; gru or attention: a state encoder over a longer "
        "history, one in each network, trained by the network's loss [Ni et al. 2022].",
    )
    width: int = Field(64, ge=4, le=4096, description="H, width of an encoded state.")
    length: int = Field(50, ge=1, le=500, description="Latest events of a history that an encoder sees.")

    @model_validator(mode="after")
    def _attention_splits_the_width(self) -> Self:
        need_whole_heads(self.kind, self.width)
        return self

    @property
    def encodes(self) -> bool:
        """Whether there is a state encoder."""
        return self.kind != "frame"

    def transitions(self, frame: int) -> int:
        """The most transitions in a window: each has F events before its action, or `length` if that is less."""
        return max(1, self.length - frame + 1)


class StoredState(StateConfig):
    """A state encoder but its tensors."""

    kind: Literal["gru", "attention"]
    largest_reward: float = Field(gt=0, le=1e19, description="Rewards are divided by it.")


class HistoryEncoder(nn.Module):
    """Windows (B, W, D + 2) → states (N, H). States (N, H) that were encoded before pass unchanged."""

    def __init__(self, config: StoredState, dim: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = make_state(config.kind, dim, config.width, 1, dropout=0.0)

    def forward(self, observation: Tensor) -> Tensor:
        """The states, (N, H)."""
        if observation.dim() == 2:
            return observation
        vectors, rewards, asked = observation[..., :-2], observation[..., -2], observation[..., -1]
        states: Tensor = self.encoder(vectors, rewards / self.config.largest_reward, asked >= 0)
        return states.flatten(0, 1).repeat_interleave(asked.clamp_min(0).long().flatten(), 0)


def set_encoders(modules: Iterable[nn.Module], weights: Mapping[str, Tensor]) -> None:
    """Give all state encoders in `modules` the same weights."""
    for module in modules:
        for part in module.modules():
            if isinstance(part, HistoryEncoder):
                part.load_state_dict(weights)


def make_encoder(config: StoredState | None, dim: int) -> nn.Module:
    """The state encoder of one network on embeddings of `dim` numbers; none: the observation passes unchanged."""
    return nn.Identity() if config is None else HistoryEncoder(config, dim)


def latest(histories: Histories, length: int, embedding: Tensor) -> Tensor:
    """The windows of B histories that end with the latest event: (B, W, D + 2); they ask for the last state of each."""
    items, rewards = histories.last(length)
    asked = torch.where(items >= 0, 0.0, -1.0)
    asked[:, -1] = 1.0
    return torch.cat((events_of(items, rewards, embedding), asked.unsqueeze(-1)), -1)


def gather_windows(
    data: BatchSource, starts: Tensor, config: StateConfig, n: int, discount: float, generator: torch.Generator
) -> Batch:
    """A batch of the windows around some transitions, and all transitions in them.

    A window ends at random up to as many transitions after a start as it holds. If it ended with the start, transitions at
    the end of a history would be rarer than those before.

    Args:
        data: the dataset.
        starts: one transition of each window, (B,) int64.
        config: of the encoders.
        n: steps of a transition.
        discount: γ of n-step transitions.
        generator: draws the windows' places.
    """
    shift = torch.rand(len(starts), generator=generator, device=generator.device) * config.transitions(data.frame)
    items, rewards, asked, asked_next, *rest = data.windows(starts, config.length, n, discount, shift.long())
    events = events_of(items, rewards, data.embedding)
    observation, next_observation = (
        torch.cat((events, counts.to(events.dtype).unsqueeze(-1)), -1) for counts in (asked, asked_next)
    )
    action, reward, terminal, discounts = rest
    return Batch(observation, action, reward, next_observation, terminal, discounts if n > 1 else None)


def events_of(items: Tensor, rewards: Tensor, embedding: Tensor) -> Tensor:
    """Embeddings and rewards of events, (B, W, D + 1), of items (B, W), -1 where there is none, and rewards (B, W)."""
    vectors = embedding[items.clamp_min(0)] * (items >= 0).unsqueeze(-1)
    return torch.cat((vectors, rewards.unsqueeze(-1)), -1)
