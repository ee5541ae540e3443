"""`evaluate-policy`: policies and their dataset → the report."""

from prefect import flow

from flows.parameters import ProfileName, load_profile
from storage.artifacts import ArtifactRef
from tasks.caching import artifact_store
from tasks.evaluate import EvaluateParams, evaluate
from tasks.gates import gate, judge_transitions, judging
from tasks.policies import policies_on


@flow(name="evaluate-policy", validate_parameters=True)
def evaluate_policy(
    profile: ProfileName = "sample",
    dataset: str = "latest",
    policies: list[str] | None = None,
    evaluation: EvaluateParams | None = None,
) -> ArtifactRef:
    """Judge policies beside the baselines; returns the report.

    Args:
        profile: the named parameter set that fills what is not given.
        dataset: digest, its beginning, or `latest`.
        policies: digests, one per learner; empty: the newest of every learner on this dataset.
        evaluation: length of lists, steps per user, sample sizes.
    """
    chosen = artifact_store().select("dataset", dataset)
    with judging():
        gate("transitions", judge_transitions, chosen)
    return evaluate(chosen, policies_on(chosen, policies or []), evaluation or load_profile(profile).evaluate)
