"""One learner on one dataset: train, resume after a kill, keep the policy that ranks best on validation users."""

import json
import logging
from collections.abc import Sequence
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
from models.diagnostics import diagnose
from models.early_warnings import Row
from models.errors import DivergenceError, LearnerError
from models.learners import LearnerConfig, LearnerName, make_learner
from models.learners.ddpg import DDPGConfig
from models.learners.policy_learning import PolicyLearningConfig
from models.learners.presets import PresetName, with_preset
from models.learners.reward_actor_critic import RewardActorCriticConfig
from models.learners.td3 import TD3Config
from models.learners.td3_bc import TD3BCConfig
from models.learners.td_actor_critic import TDActorCriticConfig
from models.networks import Actor
from models.policy import Policy, Similarity
from models.sampling import UniformSampler
from models.space import Space
from models.trainer import Trainer, TrainerConfig
from storage.artifacts import ArtifactRef, Draft
from storage.checkpoints import Checkpoints
from storage.errors import CheckpointError, DatasetError, MarqueeError
from storage.tensorboard import EventFile
from storage.transitions import TransitionDataset
from tasks.caching import artifact_store, artifact_task, home
from tasks.ingest import copy_file
from tasks.progress import Progress

logger = logging.getLogger("marquee.train")
Device = Literal["auto", "cpu", "cuda"]
OnDivergence = Literal["stop", "keep-best"]
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
    on_divergence: OnDivergence = Field(
        "stop", description="What a run that runs away does: fail, or end with the best policy it had."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_preset(cls, values: Any) -> Any:
        return with_preset(values) if isinstance(values, dict) else values


@artifact_task("policy", outside=("device", "on_divergence"))  # the latter: whether a policy comes out, not which
def train_learner(
    draft: Draft,
    dataset: ArtifactRef,
    config: LearnerConfig,
    trainer: TrainerConfig,
    seed: int,
    similarity: Similarity,
    validation_steps: int,
    device: Device,
    on_divergence: OnDivergence,
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

    def validate() -> dict[str, float]:
        ranked = judge_scorer(data, Policy(learner.policy, data.embedding, similarity), steps, k=10).metrics
        losses = {name: float(value) for name, value in learner.losses(held_out).items()}
        return ranked | losses | diagnose(learner, held_out)

    returns = space.returns(getattr(config, "discount", 0.0))
    made_with = {"dataset": dataset.digest, "learner": config.model_dump_json()}
    run = Trainer(learner, sampler, gather, validate, trainer, returns, made_with)
    checkpoints = Checkpoints(home() / "checkpoints" / draft.digest)
    resume(run, checkpoints, config.name)
    diverged = run_to_its_end(run, checkpoints, config.name, on_divergence)
    actor = Actor(data.observation_dim, data.dim, config.hidden_dim, space.max_action)
    actor.load_state_dict(run.best_policy)
    write_policy(draft, Policy(actor, data.embedding, similarity), run.rows)
    copy_file(dataset, "items.parquet", draft.path)
    draft.rows = len(run.rows)
    draft.facts = {"learner": config.name, "device": place, "diverged": diverged} | facts_of(run)
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


def resume(run: Trainer, checkpoints: Checkpoints, name: str) -> None:
    """Go on from the newest checkpoint, if there is one.

    Raises:
        CheckpointError: it is of another dataset or learner.
    """
    if (found := checkpoints.load_latest()) is None:
        return
    try:
        run.load_state_dict(found[1])
    except LearnerError as error:
        raise CheckpointError(f"{checkpoints.folder}: {error}") from error
    logger.info("%s: resumed at update %d", name, found[0])


def run_to_its_end(run: Trainer, checkpoints: Checkpoints, name: str, on_divergence: OnDivergence) -> str | None:
    """Train, showing how it goes in the log, the Prefect UI and TensorBoard; returns how it diverged, if it did.

    Raises:
        DivergenceError: it did, and that is to stop it; the newest checkpoint is the last good one.
    """
    steps = run.config.steps
    progress = Progress(f"train-{name}".replace("_", "-"), f"Training {name}")
    board = home() / "tensorboard"
    events = EventFile(board / f"{name}-{checkpoints.folder.name}", run.step)
    logger.info("%s: to watch it, tensorboard --logdir %s", name, board)

    def show(step: int, rows: Sequence[Row]) -> None:
        events.write(rows)
        progress.show(step, steps)
        if last := {metric: value for _, split, metric, value in rows if split == "train"}:
            logger.info("%s: update %d of %d, %s", name, step, steps, brief(last))

    try:
        run.run(show, checkpoints.save)
    except DivergenceError as error:
        if on_divergence == "stop" or not run.best_policy:
            raise error.told_as(
                f"{name}: {error} The last good checkpoint is in {checkpoints.folder}. Run again with "
                "train.on_divergence=keep-best to end there with its best policy, or lower the learning rates and train anew."
            ) from error
        logger.warning("%s: %s It ends the run.", name, error)
        return str(error)
    finally:
        events.close()
    return None


def facts_of(run: Trainer) -> dict[str, Any]:
    """What a manifest says of a run that ended."""
    return {
        "updates": run.step,
        "selected_update": run.best_step,
        "selected_by": run.config.select_by,
        "stages": [list(stage) for stage in zip(run.config.stages, run.stage_starts, strict=False)],
        "validation_ndcg@10": round(run.best("ndcg@10"), 6),
        "warnings": [warning._asdict() for warning in run.warnings],
        "last": {f"{split} {metric}": round(value, 6) for _, split, metric, value in run.rows},
    }


def write_policy(draft: Draft, policy: Policy, rows: Sequence[Row]) -> None:
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
            params.on_divergence,
        )
        for name in params.learners
    }
