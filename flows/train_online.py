"""The flow `train-online`: from a dataset to a policy that was trained with its simulated users."""

from prefect import flow

from evaluation.evaluate import EvaluateParams
from flows.parameters import load_profile
from models.online.params import OnlineParams
from storage.artifacts.store import ArtifactRef
from tasks.evaluate import about_dataset
from tasks.gates import checked_dataset
from tasks.publish import PublishParams, destination
from tasks.story import with_summary
from tasks.train_online import train_policy_online


@flow(name="train-online", validate_parameters=True)
@with_summary
def train_online(
    profile: str = "sample",
    dataset: str = "latest",
    online: OnlineParams | None = None,
    fine_tune: str | None = None,
    evaluation: EvaluateParams | None = None,
    publish: PublishParams | None = None,
) -> ArtifactRef:
    """Train a policy with the simulated users of a dataset of this work directory; returns the policy.

    Args:
        profile: a name in `flows/profiles/` or the path of a YAML file; it sets what the other parameters leave out.
        dataset: its digest, the first digits of it, or `latest`. Of a generated one, the users are those of the sample; of
            another, they are fitted to its ratings.
        online: algorithm, reward, length and seed.
        fine_tune: the policy to begin from: a learner with a policy on this dataset, a digest or its first digits, the folder
            of a pulled policy, or policy@<alias or digest> for a published one; default: new weights.
        evaluation: how users are fitted, in `environment.fitted`.
        publish: where policies are published.
    """
    preset = load_profile(profile)
    chosen = checked_dataset(dataset)
    to = destination(publish or preset.publish)
    how = (evaluation or preset.evaluate).environment.fitted
    return train_policy_online(chosen, about_dataset(chosen).get("sample"), online or preset.online, how, fine_tune, to)
