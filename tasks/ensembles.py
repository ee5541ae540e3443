"""Ensembles: policies of one learner with different seeds, combined into one more policy."""

from evaluation.protocols.cases import validation_cases
from evaluation.protocols.validation import validation_metrics
from models.ensemble import Ensemble
from models.learners.registry import ENSEMBLE
from serving.stored_policies import load_policy
from storage.artifacts.store import ArtifactRef, Draft
from tasks.caching import artifact_store, artifact_task
from tasks.datasets import open_dataset
from tasks.policy_files import write_catalogue, write_policy
from tasks.train import Device, TrainParams
from tasks.train_learners import Training, train_all


@artifact_task("policy")
def combine_policies(
    draft: Draft,
    dataset: ArtifactRef,
    members: dict[str, ArtifactRef],
    learner: str,
    seed: int,
    validation_steps: int,
) -> None:
    """Write the mean of several policies as one policy, validated on the same steps as its members."""
    store = artifact_store()
    data = open_dataset(dataset)
    policy = Ensemble([load_policy(store.open(ref), data.embedding) for ref in members.values()])
    found = validation_metrics(data, policy, validation_cases(data, validation_steps, seed))
    write_policy(draft, policy, [(0, "validation", name, value) for name, value in sorted(found.items())])
    write_catalogue(draft, dataset, data)
    draft.rows = len(found)
    draft.facts = {
        "learner": learner + ENSEMBLE,
        "members": [ref.digest for ref in members.values()],
        "seconds_of_members": sum(store.manifest(ref).seconds for ref in members.values()),
        "validation_ndcg@10": round(found["ndcg@10"], 6),
    }


def train_further_members(
    dataset: ArtifactRef, params: TrainParams, device: Device, states: ArtifactRef | None
) -> dict[str, list[ArtifactRef]]:
    """Train the members with other seeds than `params.seed`, on encoded states if there are any; returns them by learner.

    Call it before the learners are trained with `params.seed`, so that these policies are the newest.

    Raises:
        DeviceMissingError, TrainingFailedError, Exception: see `train_learners`.
    """
    wanted = {
        name: [Training(name, params.seed + place) for place in range(1, count)]
        for name, count in params.ensembles.items()
    }
    trainings = [one for members in wanted.values() for one in members]
    made = train_all(dataset, params, trainings, device, states) if trainings else {}
    return {name: [made[one] for one in members] for name, members in wanted.items()}


def combine(
    dataset: ArtifactRef,
    params: TrainParams,
    policies: dict[str, ArtifactRef],
    further: dict[str, list[ArtifactRef]],
) -> dict[str, ArtifactRef]:
    """Combine each learner's policy with its further members; returns the ensembles by name, LEARNER-ensemble."""
    ensembles = {}
    for name, others in further.items():
        members = {str(params.seed + place): ref for place, ref in enumerate([policies[name], *others])}
        ensembles[name + ENSEMBLE] = combine_policies(dataset, members, name, params.seed, params.validation_steps)
    return ensembles
