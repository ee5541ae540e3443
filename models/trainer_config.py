"""Parameters of the training loop."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.optimisers import OptimiserName

Criterion = Literal["ndcg@10", "ndcg@10_liked", "policy_loss", "fitted_return"]
CRITERIA: dict[Criterion, tuple[str, float]] = {  # the validation metric, and 1 if higher is better, else -1
    "ndcg@10": ("ndcg@10", 1.0),
    "ndcg@10_liked": ("ndcg@10_liked", 1.0),
    "policy_loss": ("actor_loss", -1.0),
    "fitted_return": ("fitted_return", 1.0),
}


class TrainerConfig(BaseModel):
    """Length of training, its intervals, and when it stops."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(2000, ge=1, le=100_000_000, description="Maximum number of updates, over all stages.")
    batch_size: int = Field(256, ge=2, le=65_536, description="Transitions per update.")
    log_every: int = Field(
        50, ge=1, description="Updates between rows of the metrics table, which hold the means since the last row."
    )
    validate_every: int = Field(250, ge=1, description="Updates between validations.")
    checkpoint_every: int = Field(
        500,
        ge=1,
        description="Updates between checkpoints; one is also written after each validation that improves on the best.",
    )
    select_by: Criterion = Field(
        "ndcg@10",
        description="Selection criterion on validation users: a ranking metric (higher is better), the policy loss (lower is better), or "
        "the mean return with simulated users who are fitted to the log (higher is better).",
    )
    patience: int | None = Field(
        10,
        ge=1,
        le=10_000,
        description="Validations without improvement after which a stage ends; none: only `steps` ends it.",
    )
    stages: tuple[OptimiserName, ...] = Field(
        (),
        max_length=8,
        description="Optimisers in turn, each starting from the best state so far, [radam, adam] in the article; empty: one stage with "
        "the learner's own optimiser.",
    )
    max_value: float = Field(1e4, gt=0, description="A larger mean |Q| counts as divergence and stops the run.")

    @model_validator(mode="after")
    def _stages_end(self) -> "TrainerConfig":
        if len(self.stages) > 1 and self.patience is None:
            raise ValueError("stages: expected a patience that ends each of them; found none. Set patience.")
        return self
