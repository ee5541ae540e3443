"""One learner on one dataset: train, resume after a kill, keep the policy that ranks best on validation users."""

import json
import logging
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors.torch import save_file
from torch import Tensor

from evaluation.ranking import choose, judge_scorer
from models.batch import Batch
from models.learners import Learner, LearnerConfig, LearnerName, make_learner
from models.learners.ddpg import DDPGConfig
from models.learners.policy_learning import PolicyLearningConfig
from models.learners.presets import PresetName, with_preset
from models.learners.reward_actor_critic import RewardActorCriticConfig
from models.learners.td3 import TD3Config
from models.learners.td3_bc import TD3BCConfig
from models.learners.td_actor_critic import TDActorCriticConfig
from models.nearest import Similarity
from models.networks import Actor
from models.policy import Policy
from models.sampling import UniformSampler
from models.space import Space
from models.trainer import Trainer, TrainerConfig
from storage.artifacts import ArtifactRef, Draft
from storage.checkpoints import Checkpoints
from storage.errors import DatasetError, MarqueeError
from storage.transitions import TransitionDataset
from tasks.caching import artifact_store, artifact_task, home
from tasks.ingest import copy_file
from tasks.progress import Progress

logger = logging.getLogger("marquee.train")
Device = Literal["auto", "cpu", "cuda"]
LOSS_TRANSITIONS = 1024


class DeviceMissingError(MarqueeError):
    """The device asked for is not in this machine."""


class TrainParams(BaseModel):
    """Which learners are trained, how long, and how validation judges them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learners: tuple[LearnerName, ...] = Field(
        ("td3_bc", "ddpg"), min_length=1, description="Trained one after another."
    )
    preset: PresetName = Field(
        "default", description="article: the hyper-parameters of the article's code; those given here count first."
    )
    policy_learning: PolicyLearningConfig = Field(PolicyLearningConfig(), description="Imitation of liked choices.")
    reward_actor_critic: RewardActorCriticConfig = Field(
        RewardActorCriticConfig(), description="Actor-critic with reward regression."
    )
    td_actor_critic: TDActorCriticConfig = Field(
        TDActorCriticConfig(), description="Actor-critic with temporal difference."
    )
    ddpg: DDPGConfig = Field(DDPGConfig(), description="DDPG's hyper-parameters.")
    td3: TD3Config = Field(TD3Config(), description="TD3's hyper-parameters.")
    td3_bc: TD3BCConfig = Field(TD3BCConfig(), description="TD3's with behaviour cloning.")
    trainer: TrainerConfig = Field(TrainerConfig(), description="Length and rhythm.")
    seed: int = Field(0, ge=0, description="Of the networks, the batches and the noise.")
    similarity: Similarity = Field("cosine", description="How a policy's action ranks items.")
    validation_steps: int = Field(
        2000, ge=10, description="At most so many next-item steps per look at validation users."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_preset(cls, values: Any) -> Any:
        return with_preset(values) if isinstance(values, dict) else values


@artifact_task("policy", outside=("device",))
def train_learner(
    draft: Draft,
    dataset: ArtifactRef,
    config: LearnerConfig,
    trainer: TrainerConfig,
    seed: int,
    similarity: Similarity,
    validation_steps: int,
    device: Device,
) -> None:
    """Train a learner on the training transitions; keeps weights, config, metrics and the items they rank."""
    place = chosen_device(device)
    data = TransitionDataset.open(artifact_store().open(dataset) / "transitions.h5").to(place)
    space = Space.of(data.embedding, data.frame)
    learner = make_learner(config, space, place, seed)
    sampler = UniformSampler(data.starts("train"), trainer.batch_size, seed)
    steps = choose(data.last_starts("validation", 20), validation_steps, seed)
    if len(steps) == 0:
        raise DatasetError(
            "validation: expected users with more than F events to choose a checkpoint by; found none. "
            "Raise export.splits.validation or give more ratings."
        )
    held_out = Batch(*data.gather(choose(data.starts("validation"), LOSS_TRANSITIONS, seed)))

    buffers = data.ring(trainer.batch_size)

    def gather(starts: Tensor) -> Batch:
        return Batch(*data.gather(starts, next(buffers)))

    def validate(_: Learner) -> dict[str, float]:
        ranked = judge_scorer(data, Policy(learner.policy, data.embedding, similarity), steps, k=10).metrics
        return ranked | {name: float(value) for name, value in learner.losses(held_out).items()}

    run = Trainer(learner, sampler, gather, validate, trainer)
    checkpoints = Checkpoints(home() / "checkpoints" / draft.digest)
    if (found := checkpoints.load_latest()) is not None:
        run.load_state_dict(found[1])
        logger.info("%s: resumed at update %d", config.name, found[0])
    progress = Progress(f"train-{config.name}".replace("_", "-"), f"Training {config.name} on {place}")

    def show(step: int) -> None:
        progress.show(step, trainer.steps)
        last = {metric: value for _, split, metric, value in run.rows[-8:] if split == "train"}
        logger.info("%s: update %d of %d, %s", config.name, step, trainer.steps, brief(last))

    rows = run.run(show, checkpoints.save)
    actor = Actor(data.observation_dim, data.dim, config.hidden_dim, space.max_action)
    actor.load_state_dict(run.best_actor)
    write_policy(draft, Policy(actor, data.embedding, similarity), rows)
    copy_file(dataset, "items.parquet", draft.path)
    draft.rows = len(rows)
    draft.facts = {
        "learner": config.name,
        "device": place,
        "selected_update": run.best_step,
        "validation_ndcg@10": round(run.best_score, 6),
        "last": {f"{split} {metric}": round(value, 6) for step, split, metric, value in rows if step == run.step},
    }
    checkpoints.clear()


def chosen_device(device: Device) -> str:
    """The torch device that is meant.

    Raises:
        DeviceMissingError: CUDA is asked for and torch finds none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceMissingError(
            "device: expected cuda; torch finds none here. Install a CUDA build of torch, or use auto."
        )
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def write_policy(draft: Draft, policy: Policy, rows: list[tuple[int, str, str, float]]) -> None:
    """The policy's files: weights as safetensors, config as JSON, metrics as a table."""
    save_file(policy.tensors(), draft.path / "policy.safetensors")
    (draft.path / "config.json").write_text(json.dumps(policy.config(), indent=2, sort_keys=True))
    table = pd.DataFrame(rows, columns=["step", "split", "metric", "value"])
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), draft.path / "metrics.parquet")


def brief(metrics: dict[str, float]) -> str:
    """Metrics in one line of a log."""
    return ", ".join(f"{name} {value:.3g}" for name, value in metrics.items())


def train_learners(dataset: ArtifactRef, params: TrainParams, device: Device) -> dict[str, ArtifactRef]:
    """The policies of all wanted learners, by the learner's name."""
    return {
        name: train_learner(
            dataset,
            getattr(params, name),
            params.trainer,
            params.seed,
            params.similarity,
            params.validation_steps,
            device,
        )
        for name in params.learners
    }
