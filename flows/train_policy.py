"""The flow `train-policy`: from a dataset to one policy per learner."""

from prefect import flow

from flows.parameters import load_profile
from storage.artifacts.store import ArtifactRef
from tasks.encode_states import states_of
from tasks.ensembles import combine, train_further_members
from tasks.gates import checked_dataset
from tasks.story import with_summary
from tasks.train import Device, TrainParams
from tasks.train_learners import train_learners


@flow(name="train-policy", validate_parameters=True)
@with_summary
def train_policy(
    profile: str = "sample",
    dataset: str = "latest",
    train: TrainParams | None = None,
    device: Device = "auto",
    states: str | None = None,
) -> dict[str, ArtifactRef]:
    """Train every learner on a dataset of this work directory; returns the policies, and the ensembles if there are any, by name.

    Args:
        profile: a name in `flows/profiles/` or the path of a YAML file; it sets what the other parameters leave out.
        dataset: its digest, the first digits of it, or `latest`.
        train: learners, their hyper-parameters, the length of training and the seed.
        device: `auto` uses the GPU if there is one.
        states: encoded states of this dataset to train on, by their digest, its first digits, or `latest`; none: the learners'
            own observations.
    """
    chosen = checked_dataset(dataset)
    params = train or load_profile(profile).train
    encoded = states_of(chosen, states) if states else None
    further = train_further_members(chosen, params, device, encoded)
    policies = train_learners(chosen, params, device, encoded)
    return policies | combine(chosen, params, policies, further)
