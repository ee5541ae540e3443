"""Training of several learners: one after another in this process, or side by side in processes of their own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context

import torch

from storage.artifacts.store import ArtifactRef
from storage.errors import MarqueeError
from tasks.caching import do_work
from tasks.learning import folder_of, observing
from tasks.train import Device, TrainParams, checkpoints_of, chosen_device, train_learner
from tasks.warm_start import earlier_policy
from tasks.work_process import WorkProcesses

CORES_EACH = 4  # of a training, by default; its small networks gain little from more
Train = Callable[[str], ArtifactRef]


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
        DeviceMissingError: see `chosen_device`.
        TrainingFailedError: some of several learners failed.
        Exception: the error of the learner, if only one is requested.
    """
    place = chosen_device(device)

    def train(name: str) -> ArtifactRef:
        return train_one(dataset, params, name, params.seed, device, states)

    names = tuple(dict.fromkeys(params.learners))
    at_once = min(len(names), params.side_by_side or default_side_by_side(place))
    return policies_of(one_by_one(names, train) if at_once == 1 else side_by_side(names, train, at_once))


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


def default_side_by_side(device: str) -> int:
    """How many learners train at the same time on a torch device if nobody says so: one for every `CORES_EACH` cores."""
    return max(1, torch.get_num_threads() // CORES_EACH) if device == "cpu" else 1


def one_by_one(learners: Sequence[str], train: Train) -> dict[str, ArtifactRef | Exception]:
    """The policy or the error of each learner, trained in this process."""
    return {name: attempt(train, name) for name in learners}


def side_by_side(learners: Sequence[str], train: Train, at_once: int) -> dict[str, ArtifactRef | Exception]:
    """The policy or the error of each learner, each trained in a process with its share of torch's threads.

    A thread follows each process, in a copy of this thread's context, so that its task belongs to the running flow.
    """
    processes = WorkProcesses(max(1, torch.get_num_threads() // at_once))

    def attempt_there(name: str) -> ArtifactRef | Exception:
        do_work.set(processes.work)
        return attempt(train, name)

    with ThreadPoolExecutor(at_once) as threads:
        asked = {name: threads.submit(copy_context().run, attempt_there, name) for name in learners}
        try:
            wait(asked.values())
        except BaseException:
            for one in asked.values():
                one.cancel()
            processes.stop()
            raise
    return {name: one.result() for name, one in asked.items()}


def attempt(train: Train, name: str) -> ArtifactRef | Exception:
    """The policy of a learner, or why there is none."""
    try:
        return train(name)
    except Exception as error:
        return error


def policies_of(found: dict[str, ArtifactRef | Exception]) -> dict[str, ArtifactRef]:
    """The policies by learner, if none failed.

    Raises:
        TrainingFailedError: some of several learners failed.
        Exception: the error of the learner, if there is only one.
    """
    policies = {name: policy for name, policy in found.items() if isinstance(policy, ArtifactRef)}
    failed = {name: error for name, error in found.items() if isinstance(error, Exception)}
    if not failed:
        return policies
    first = next(iter(failed.values()))
    if len(found) == 1:
        raise first
    # Messages of other errors than our own may hold secrets.
    why = " ".join(
        f"{name}: {type(error).__name__}" + (f": {error}" if isinstance(error, MarqueeError | ValueError) else ".")
        for name, error in failed.items()
    )
    kept = f"policies of {', '.join(policies)}, which are kept" if policies else "none"
    raise TrainingFailedError(
        f"learners: expected policies of {', '.join(found)}; found {kept}. {why} Change the parameters of "
        f"{', '.join(failed)} or leave them out of train.learners, and run again."
    ) from first
