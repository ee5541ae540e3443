"""One learner on one dataset: train, resume after a kill, keep the policy that ranks best on validation users."""

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from safetensors.torch import save_file

from evaluation.costs import Memory
from evaluation.protocols.cases import choose, validation_cases
from evaluation.protocols.validation import CRITERION, validation_metrics
from models.diagnostics import diagnose
from models.early_warnings import Row
from models.errors import DivergenceError, LearnerError
from models.learners import LADDER, LearnerConfig, LearnerName
from models.learners.ddpg import DDPGConfig
from models.learners.policy_learning import PolicyLearningConfig
from models.learners.presets import PresetName, with_preset
from models.learners.ranking_config import Gru4RecConfig, RankingConfig, SasRecConfig
from models.learners.reward_actor_critic import RewardActorCriticConfig
from models.learners.td3 import TD3Config
from models.learners.td3_bc import TD3BCConfig
from models.learners.td_actor_critic import TDActorCriticConfig
from models.nearest import Similarity
from models.ranking_policy import RankingPolicy, tune_shares
from models.sampling import UniformSampler
from models.trainer import Trainer, TrainerConfig
from storage.artifacts.store import ArtifactRef, Draft
from storage.checkpoints import Checkpoints
from storage.dataset.reader import TransitionDataset
from storage.errors import CheckpointError, MarqueeError
from storage.tensorboard import EventFile
from tasks.caching import artifact_store, artifact_task, home
from tasks.ingest import copy_file
from tasks.learning import Publishable, make_learning
from tasks.progress import Progress

logger = logging.getLogger("marquee.train")
Device = Literal["auto", "cpu", "cuda"]
OnDivergence = Literal["stop", "keep-best"]


class DeviceMissingError(MarqueeError):
    """The device asked for is not in this machine."""


class TrainParams(BaseModel):
    """Which learners are trained, how long, and how validation judges them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learners: tuple[LearnerName, ...] = Field(
        ("ranking", "td3_bc"), min_length=1, description="Trained one after another."
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
    ranking: RankingConfig = Field(RankingConfig(), description="TD3's with an actor that learns to rank.")
    gru4rec: Gru4RecConfig = Field(Gru4RecConfig(), description="GRU4Rec, a baseline that is trained.")
    sasrec: SasRecConfig = Field(SasRecConfig(), description="SASRec, a baseline that is trained.")
    td3_bc: TD3BCConfig = Field(TD3BCConfig(), description="TD3's with behaviour cloning.")
    trainer: TrainerConfig = Field(TrainerConfig(), description="Length and rhythm of the article's ladder.")
    sequence_trainer: TrainerConfig = Field(
        TrainerConfig(steps=6000, log_every=100, validate_every=300, checkpoint_every=600, patience=4),
        description="Of learners from sequences (ranking, gru4rec, sasrec): one update of theirs is 16 × 50 transitions.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Of the networks, the batches and the noise.")
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
    memory = Memory()
    learning = make_learning(config, data, trainer.batch_size, similarity, place, seed)
    sampler = UniformSampler(data.starts("train"), learning.batch_size, seed)
    cases = validation_cases(data, validation_steps, seed)
    timely = data.last_starts("validation", len(data.item), before_cut=True)
    held_out = learning.gather(choose(timely, 4 * learning.batch_size, seed))

    def validate() -> dict[str, float]:
        losses = {name: float(value) for name, value in learning.learner.losses(held_out).items()}
        return validation_metrics(data, learning.policy, cases) | losses | diagnose(learning.learner, held_out)

    made_with = {"dataset": dataset.digest, "learner": config.model_dump_json()}
    run = Trainer(learning.learner, sampler, learning.gather_in_turn, validate, trainer, learning.returns, made_with)
    checkpoints = checkpoints_of(draft.digest)
    resume(run, checkpoints, config.name)
    diverged = run_to_its_end(run, checkpoints, config.name, on_divergence)
    learning.learner.acting.load_state_dict(run.best_policy)
    facts = facts_of(run)
    if isinstance(learning.policy, RankingPolicy):
        facts |= tuned(learning.policy, lambda policy: validation_metrics(data, policy, cases), run.metric)
    write_policy(draft, learning.policy, run.rows)
    copy_file(dataset, "items.parquet", draft.path)
    facts["peak_mib"] = memory.peak()
    draft.rows = len(run.rows)
    draft.facts = {"learner": config.name, "device": place, "diverged": diverged} | facts


def checkpoints_of(digest: str) -> Checkpoints:
    """Of the training that makes the policy of that digest."""
    return Checkpoints(home() / "checkpoints" / digest)


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


def tuned(
    policy: RankingPolicy, metrics: Callable[[RankingPolicy], dict[str, float]], selected_by: str
) -> dict[str, Any]:
    """Tune a ranking policy's shares on validation users; what a manifest says of them.

    By what the checkpoint was selected by, where that is a ranking metric: no share changes a loss.
    """
    criterion = selected_by if selected_by in metrics(policy) else CRITERION
    shares = tune_shares(policy, lambda tried: metrics(tried)[criterion])
    return {"shares": shares, "validation_ndcg@10": round(metrics(policy)["ndcg@10"], 6)}


def write_policy(draft: Draft, policy: Publishable, rows: Sequence[Row]) -> None:
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
    policies: dict[str, ArtifactRef] = {}
    for name in params.learners:
        policies[name] = train_learner(
            dataset,
            getattr(params, name),
            params.trainer if name in LADDER else params.sequence_trainer,
            params.seed,
            params.similarity,
            params.validation_steps,
            device,
            params.on_divergence,
        )
        # Only now: until the policy is committed a kill must find its training where it was.
        checkpoints_of(policies[name].digest).clear()
    return policies
