"""What is kept about the training of a policy, beside its weights."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from models.early_warnings import EarlyWarning
from models.term_weights import TunedWeights


class PolicyFacts(BaseModel):
    """What is read of a policy's manifest, which may come from elsewhere: facts, and parameters of the recipe."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    learner: str = Field(min_length=1, max_length=64)
    members: tuple[str, ...] = Field((), description="Digests of the members of an ensemble.")
    device: str | None = None
    diverged: str | None = None
    updates: int | None = None
    selected_update: int | None = None
    selected_by: str | None = None
    validation: float | None = Field(None, alias="validation_ndcg@10")
    peak_mib: float | None = None
    seconds_of_members: float = Field(0.0, ge=0)
    questions: tuple[TunedWeights, ...] = ()
    warnings: tuple[EarlyWarning, ...] | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    trainer: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = None
