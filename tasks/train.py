"""Training of learners on a dataset: resume after a kill, keep the policy that ranks best on validation users."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, create_model, model_validator

from evaluation.costs import Memory
from evaluation.fitted_dataset import FittedDataset, FittedParams
from evaluation.protocols.cases import at_most, validation_cases
from evaluation.protocols.validation import validation_metrics
from evaluation.validation_return import CRITERION_USERS, ValidationReturn
from models.diagnostics import diagnose
from models.early_warnings import Row
from models.errors import DivergenceError, LearnerError
from models.learners.config import ActorConfig, LearnerConfig
from models.learners.presets import PresetName, with_preset
from models.learners.registry import LEARNERS, TRANSITION_LEARNERS
from models.nearest import Similarity
from models.policy import Policy, Publishable
from models.ranks import from_first, is_first
from models.sampling import UniformSampler
from models.trainer import Trainer
from models.trainer_config import Criterion, TrainerConfig
from storage.artifacts.store import ArtifactRef, Draft
from storage.checkpoints import Checkpoints
from storage.errors import CheckpointError, MarqueeError
from storage.home import home
from storage.tensorboard import EventFile
from tasks.caching import artifact_task
from tasks.datasets import open_dataset
from tasks.learning import folder_of, make_learning
from tasks.policy_files import write_catalogue, write_policy
from tasks.progress import Progress
from tasks.ranker import give_ranker
from tasks.tuning import tuned
from tasks.warm_start import Start, start_from

logger = logging.getLogger("marquee.train")
Device = Literal["auto", "cpu", "cuda"]
OnDivergence = Literal["stop", "keep-best"]


def known_learner(name: str) -> str:
    """Refuse a name that is not in the registry."""
    if name not in LEARNERS:
        raise ValueError(f"learners: expected names among {list(LEARNERS)}; found {name!r}. Name some of these.")
    return name


class DeviceMissingError(MarqueeError):
    """The requested device is not available on this machine."""


# One field per learner of the registry, so that forms, profiles and `--set train.td3.target_noise=…` know its parameters.
_FIELDS: dict[str, Any] = {
    name: (entry.config, Field(entry.config.model_validate({}), description=entry.summary))
    for name, entry in LEARNERS.items()
}
LearnerConfigs: Any = create_model("LearnerConfigs", __config__=ConfigDict(frozen=True, extra="forbid"), **_FIELDS)
LearnerName = Annotated[str, AfterValidator(known_learner), WithJsonSchema({"type": "string", "enum": list(LEARNERS)})]


class TrainParams(LearnerConfigs, BaseModel):
    """Which learners are trained, how long, and how they are validated."""

    learners: tuple[LearnerName, ...] = Field(
        ("ranking", "td3_bc", "td3", "ddpg"),
        min_length=1,
        description="Learners to train, in this order if they train one after another.",
    )
    ensembles: dict[LearnerName, Annotated[int, Field(ge=2, le=64)]] = Field(
        default_factory=dict,
        description="By learner, the number of policies in an ensemble. They are trained with `seed`, `seed` + 1 …; their mean is "
        "one more policy, LEARNER-ensemble.",
    )
    preset: PresetName = Field(
        "default", description="article: the hyper-parameters of the article's code; values given here take precedence."
    )
    trainer: TrainerConfig = Field(
        TrainerConfig(),
        description="Training loop of learners from transitions: " + ", ".join(TRANSITION_LEARNERS) + ".",
    )
    sequence_trainer: TrainerConfig = Field(
        TrainerConfig(steps=6000, log_every=100, validate_every=300, checkpoint_every=600, patience=4),
        description="Training loop of learners from sequences: one of their updates covers 16 × 50 transitions.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of the networks, the batches and the noise.")
    similarity: Similarity = Field("cosine", description="How the actions of learners from transitions rank items.")
    validation_steps: int = Field(2000, ge=10, description="Maximum number of next-item steps per validation.")
    criteria: dict[LearnerName, Criterion] = Field(
        default_factory=dict,
        description="By learner, a selection criterion that replaces `select_by` of its trainer.",
    )
    fitted: FittedParams = Field(
        FittedParams(), description="The simulated users of the criterion fitted_return, fitted to the dataset."
    )
    start: Start = Field(
        "cold",
        description="cold: new weights. warm: on an extended dataset, the weights of a policy that was trained on the dataset which "
        "it extends: the newest of this work directory with the same learner and hyper-parameters.",
    )
    on_divergence: OnDivergence = Field(
        "stop", description="stop: a diverged training fails; keep-best: it ends with its best policy."
    )
    side_by_side: int | None = Field(
        None,
        ge=1,
        le=64,
        description="Learners that train at the same time, each in a process of its own with its share of the cores; 1: one "
        "after another. Empty: one for every four cores, on a GPU or with several ranks one. It does not change the policies.",
    )

    ranks: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that train one learner together, each on its rows of every batch, with a GPU each on a GPU. The policy "
        "is that of one process but for rounding.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_preset(cls, values: Any) -> Any:
        return with_preset(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _ensembles_are_of_trained_learners(self) -> Self:
        if unknown := sorted(self.ensembles.keys() - set(self.learners)):
            raise ValueError(
                f"ensembles: expected some of learners, {list(self.learners)}; found {unknown}. Add them to learners."
            )
        return self

    def config_of(self, learner: str) -> LearnerConfig:
        """The hyper-parameters of a learner."""
        config: LearnerConfig = getattr(self, learner)
        return config

    def trainer_of(self, learner: str) -> TrainerConfig:
        """The training loop's parameters for a learner."""
        trainer = self.trainer if LEARNERS[learner].learns_from == "transitions" else self.sequence_trainer
        return trainer.model_copy(update={"select_by": self.criteria.get(learner, trainer.select_by)})

    def fitted_for(self, learner: str) -> FittedParams | None:
        """The parameters of the criterion's simulated users, if the learner's criterion needs them."""
        return self.fitted if self.trainer_of(learner).select_by == "fitted_return" else None


@artifact_task("policy", outside=("device", "on_divergence"))  # it decides whether there is a policy, not which
def train_learner(
    draft: Draft,
    dataset: ArtifactRef,
    config: LearnerConfig,
    trainer: TrainerConfig,
    seed: int,
    similarity: Similarity,
    validation_steps: int,
    fitted: FittedParams | None,
    device: Device,
    on_divergence: OnDivergence,
    earlier: ArtifactRef | None,
    states: ArtifactRef | None,
) -> None:
    """Train a learner on the training transitions; writes weights, config, metrics, the items, and how ratings are read."""
    place = chosen_device(device)
    data = open_dataset(dataset).to(place)
    memory = Memory()
    learning = make_learning(config, data, trainer.batch_size, similarity, place, seed, folder_of(states))
    if earlier is not None:
        start_from(earlier, learning, data)
    sampler = UniformSampler(learning.starts, learning.batch_size, seed, learning.lengths)
    cases = validation_cases(data, validation_steps, seed)
    timely = data.last_starts("validation", len(data.item), before_cut=True)
    held_out = learning.gather(at_most(timely, 4 * learning.batch_size, seed))

    simulated = None
    if fitted is not None and is_first():
        users = FittedDataset.for_training(open_dataset(dataset), fitted)
        simulated = ValidationReturn(users, CRITERION_USERS, seed, place)

    def metrics_of(policy: Publishable) -> dict[str, float]:
        found = validation_metrics(data, policy, cases)
        return found if simulated is None else found | {"fitted_return": simulated.of(policy)}

    def validate() -> dict[str, float]:
        losses = {name: float(value) for name, value in learning.learner.losses(held_out).items()}
        return metrics_of(learning.policy) | losses | diagnose(learning.learner.compare(held_out))

    made_with = {"dataset": dataset.digest, "learner": config.model_dump_json()}
    run = Trainer(learning.learner, sampler, learning.gather_in_turn, validate, trainer, learning.returns, made_with)
    checkpoints = checkpoints_of(draft.digest)
    resume(run, checkpoints, config.name)
    if not is_first():
        with suppress(DivergenceError):  # the first rank reports it
            run.run(lambda step, rows: None, lambda step, state: None)
        return
    diverged = run_to_its_end(run, checkpoints, config.name, on_divergence)
    learning.learner.acting.load_state_dict(run.best_policy)
    facts = facts_of_run(run)
    facts |= tuned(learning.policy, config, metrics_of, run.metric, data, validation_steps, seed)
    if isinstance(config, ActorConfig) and isinstance(learning.policy, Policy) and config.ranker.candidates > 0:
        metrics = partial(validation_metrics, data, learning.policy, cases)
        facts |= give_ranker(learning.policy, data, config.ranker, seed, metrics)
    write_policy(draft, learning.policy, run.rows)
    write_catalogue(draft, dataset, data)
    facts["peak_mib"] = memory.peak()
    draft.rows = len(run.rows)
    draft.facts = {"learner": config.name, "device": place, "diverged": diverged} | facts


def checkpoints_of(digest: str) -> Checkpoints:
    """The checkpoints of the training of the policy with that digest."""
    return Checkpoints(home() / "checkpoints" / digest)


def chosen_device(device: Device) -> str:
    """The name of the torch device.

    Raises:
        DeviceMissingError: CUDA is requested and torch finds none.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise DeviceMissingError("device: expected cuda; found none. Install a CUDA build of torch, or use auto.")
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"


def resume(run: Trainer, checkpoints: Checkpoints, name: str) -> None:
    """Continue from the newest checkpoint, if there is one.

    Raises:
        CheckpointError: it is of another dataset or learner.
    """
    if (found := from_first(checkpoints.load_latest)) is None:
        return
    try:
        run.load_state_dict(found[1])
    except LearnerError as error:
        raise CheckpointError(f"{checkpoints.folder}: {error}") from error
    logger.info("%s: resumed at update %d", name, found[0])


def run_to_its_end(run: Trainer, checkpoints: Checkpoints, name: str, on_divergence: OnDivergence) -> str | None:
    """Train, with progress in the log, the Prefect UI and TensorBoard; returns the message of a divergence, if any.

    Raises:
        DivergenceError: training diverged and `on_divergence` is stop; the newest checkpoint is the last good one.
    """
    steps = run.config.steps
    progress = Progress(f"train-{name}".replace("_", "-"), f"Training {name}")
    board = home() / "tensorboard"
    events = EventFile(board / f"{name}-{checkpoints.folder.name}", run.step)
    logger.info("%s: to watch it, run tensorboard --logdir %s", name, board)

    def show(step: int, rows: Sequence[Row]) -> None:
        events.write(rows)
        progress.show(step, steps)
        found = {f"{split} {metric}": value for _, split, metric, value in rows}
        if (score := found.get("validation ndcg@10")) is not None:
            logger.info("%s: update %d of %d, validation NDCG@10 %.4f", name, step, steps, score)

    try:
        run.run(show, checkpoints.save)
        progress.show(run.step, run.step)  # it may have ended before its last update
    except DivergenceError as error:
        if on_divergence == "stop" or not run.best_policy:
            raise error.with_message(
                f"{name}: {error} The last good checkpoint is in {checkpoints.folder}. Run again with "
                "train.on_divergence=keep-best to end with its best policy, or lower the learning rates and train again."
            ) from error
        logger.warning("%s: %s Training ends here.", name, error)
        return str(error)
    finally:
        events.close()
    return None


def facts_of_run(run: Trainer) -> dict[str, Any]:
    """The manifest's facts about a finished run."""
    return {
        "updates": run.step,
        "selected_update": run.best_step,
        "selected_by": run.config.select_by,
        "stages": [list(stage) for stage in zip(run.config.stages, run.stage_starts, strict=False)],
        "validation_ndcg@10": round(run.best("ndcg@10"), 6),
        "warnings": [warning._asdict() for warning in run.warnings],
        "last": {f"{split} {metric}": round(value, 6) for _, split, metric, value in run.rows},
    }
