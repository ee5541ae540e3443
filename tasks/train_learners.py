"""Training of several learners: one after another in this process, or side by side in processes of their own."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from functools import partial
from typing import NamedTuple

import torch

from storage.artifacts.store import ArtifactRef
from storage.errors import MarqueeError
from tasks.caching import do_work
from tasks.learning import folder_of, observing
from tasks.ranks import launch, need_devices
from tasks.train import Device, TrainParams, checkpoints_of, chosen_device, train_learner
from tasks.warm_start import earlier_policy
from tasks.work_process import WorkProcesses, fill_for_owner

CORES_EACH = 4  # of a training, by default; its small networks gain little from more


class Training(NamedTuple):
    """A learner to train, and the seed."""

    learner: str
    seed: int

    def __str__(self) -> str:
        return f"{self.learner} (seed {self.seed})"


Train = Callable[[Training], ArtifactRef]


class TrainingFailedError(MarqueeError):
    """Some of several learners could not be trained."""


def train_learners(
    dataset: ArtifactRef, params: TrainParams, device: Device, states: ArtifactRef | None = None
) -> dict[str, ArtifactRef]:
    """Train all requested learners, each as a task of its own; one that fails does not stop the others.

    Args:
        dataset: with the transitions.
        params: which learners, and how.
        device: of torch, or auto.
        states: encoded states to train on; none: the learners' own observations.

    Returns:
        the policies by learner.

    Raises:
        DeviceMissingError: see `chosen_device` and `need_devices`.
        TrainingFailedError: some of several learners failed.
        Exception: the error of the learner, if only one is requested.
    """
    wanted = [Training(name, params.seed) for name in dict.fromkeys(params.learners)]
    return {one.learner: policy for one, policy in train_all(dataset, params, wanted, device, states).items()}


def train_all(
    dataset: ArtifactRef, params: TrainParams, wanted: Sequence[Training], device: Device, states: ArtifactRef | None
) -> dict[Training, ArtifactRef]:
    """Train several learners or seeds, each as a task of its own; one that fails does not stop the others.

    Raises:
        DeviceMissingError, TrainingFailedError, Exception: see `train_learners`.
    """
    place = chosen_device(device)

    def train(one: Training) -> ArtifactRef:
        return train_one(dataset, params, one.learner, one.seed, device, states)

    need_devices(params.ranks, place)
    at_once = min(len(wanted), params.side_by_side or default_side_by_side(place, params.ranks))
    if at_once == params.ranks == 1:
        return policies_of({one: attempt(train, one) for one in wanted})
    return policies_of(side_by_side(wanted, train, at_once, params.ranks))


def train_one(
    dataset: ArtifactRef,
    params: TrainParams,
    learner: str,
    seed: int,
    device: Device,
    states: ArtifactRef | None = None,
) -> ArtifactRef:
    """Train one learner with a seed, on encoded states if there are any."""
    config = observing(params.config_of(learner), folder_of(states))
    policy = train_learner(
        dataset,
        config,
        params.trainer_of(learner),
        seed,
        params.similarity,
        params.validation_steps,
        params.fitted_for(learner),
        device,
        params.on_divergence,
        earlier_policy(dataset, config, seed) if params.start == "warm" else None,
        states,
    )
    # Only now: until the policy is committed, a killed training must find its checkpoints.
    checkpoints_of(policy.digest).clear()
    return policy


def default_side_by_side(device: str, ranks: int) -> int:
    """How many learners train at the same time on a torch device if nobody says so: one for every `CORES_EACH` cores."""
    return max(1, torch.get_num_threads() // CORES_EACH) if device == "cpu" and ranks == 1 else 1


def side_by_side(
    wanted: Sequence[Training], train: Train, at_once: int, ranks: int
) -> dict[Training, ArtifactRef | Exception]:
    """The policy or the error of each training, each in a process or on several ranks with its share of torch's threads.

    A thread follows each process, in a copy of this thread's context, so that its task belongs to the running flow.
    """
    run = partial(launch, ranks) if ranks > 1 else fill_for_owner
    processes = WorkProcesses(max(1, torch.get_num_threads() // (at_once * ranks)), run)

    def attempt_there(one: Training) -> ArtifactRef | Exception:
        do_work.set(processes.work)
        return attempt(train, one)

    with ThreadPoolExecutor(at_once) as threads:
        asked = {one: threads.submit(copy_context().run, attempt_there, one) for one in wanted}
        try:
            wait(asked.values())
        except BaseException:
            for result in asked.values():
                result.cancel()
            processes.stop()
            raise
    return {one: result.result() for one, result in asked.items()}


def attempt(train: Train, one: Training) -> ArtifactRef | Exception:
    """The policy of a training, or why there is none."""
    try:
        return train(one)
    except Exception as error:
        return error


def policies_of(found: dict[Training, ArtifactRef | Exception]) -> dict[Training, ArtifactRef]:
    """The policies, if no training failed.

    Raises:
        TrainingFailedError: some of several trainings failed.
        Exception: the error of the training, if there is only one.
    """
    policies = {one: policy for one, policy in found.items() if isinstance(policy, ArtifactRef)}
    failed = {one: error for one, error in found.items() if isinstance(error, Exception)}
    if not failed:
        return policies
    first = next(iter(failed.values()))
    if len(found) == 1:
        raise first
    # Messages of other errors than our own may hold secrets.
    why = " ".join(
        f"{one}: {type(error).__name__}" + (f": {error}" if isinstance(error, MarqueeError | ValueError) else ".")
        for one, error in failed.items()
    )
    kept = f"policies of {named(policies)}, which are kept" if policies else "none"
    raise TrainingFailedError(
        f"learners: expected policies of {named(found)}; found {kept}. {why} Change the parameters of "
        f"{named(failed)} or leave them out of train.learners, and run again."
    ) from first


def named(trainings: Iterable[Training]) -> str:
    """The trainings, in words."""
    return ", ".join(map(str, trainings))
