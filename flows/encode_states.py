"""The flow `encode-states`: from a dataset and a policy with a state encoder to the states that learners train on."""

from prefect import flow

from flows.parameters import load_profile
from storage.artifacts.store import ArtifactRef
from tasks import encode_states as stage
from tasks.gates import checked_dataset
from tasks.policies import policy_named
from tasks.publish import PublishParams, destination
from tasks.story import with_summary
from tasks.train import Device


@flow(name="encode-states", validate_parameters=True)
@with_summary
def encode_states(
    profile: str = "sample",
    dataset: str = "latest",
    policy: str = "latest",
    publish: PublishParams | None = None,
    device: Device = "auto",
) -> ArtifactRef:
    """Encode the observations of a dataset with a policy's state encoder; returns the states, for `train-policy`.

    Args:
        profile: a name in `flows/profiles/` or the path of a YAML file; it sets what the other parameters leave out.
        dataset: its digest, the first digits of it, or `latest`.
        policy: one with a state encoder: its digest or first digits, `latest`, the folder of a pulled one, or
            policy@<alias or digest> for a published one.
        publish: where policies are published.
        device: `auto` uses the GPU if there is one.
    """
    chosen = checked_dataset(dataset)
    place = destination(publish or load_profile(profile).publish)
    return stage.encode_states(chosen, policy_named(policy, place), device)
