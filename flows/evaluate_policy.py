"""The flow `evaluate-policy`: from a dataset and its policies to the report."""

from prefect import flow

from evaluation.evaluate import EvaluateParams
from flows.parameters import load_profile
from storage.artifacts.store import ArtifactRef
from tasks.evaluate import evaluate
from tasks.gates import checked_dataset
from tasks.policies import CHAMPION, find_champion, policies_named, policies_on
from tasks.promote import compare_policies
from tasks.publish import PublishParams, best_policy, destination
from tasks.story import with_summary


@flow(name="evaluate-policy", validate_parameters=True)
@with_summary
def evaluate_policy(
    profile: str = "sample",
    dataset: str = "latest",
    policies: list[str] | None = None,
    evaluation: EvaluateParams | None = None,
    publish: PublishParams | None = None,
    with_champion: bool = False,
) -> ArtifactRef:
    """Evaluate policies and the baselines on the same test users; returns the report.

    Args:
        profile: a name in `flows/profiles/` or the path of a YAML file; it sets what the other parameters leave out.
        dataset: its digest, the first digits of it, or `latest`.
        policies: digests or their first digits, folders of pulled policies, or policy@<alias or digest> for published ones;
            default: the newest policy of every learner on this dataset. `policy@champion` is reported as the champion.
        evaluation: length of the lists, steps per user, sample sizes, sections to leave out.
        publish: where policies and the champion are published, and how the best policy is compared with the champion.
        with_champion: whether to evaluate the published champion too, if there is one, and compare the best policy with it.
    """
    preset = load_profile(profile)
    chosen = checked_dataset(dataset)
    to = publish or preset.publish
    place = destination(to)
    named = [spec for spec in policies or () if spec != CHAMPION]
    found = policies_named(named, place) if policies else policies_on(chosen)
    is_named = len(named) < len(policies or ())
    champion = find_champion(place, chosen, must_be=is_named) if with_champion or is_named else None
    if is_named and champion:  # it may have been named by its digest too
        found = {name: ref for name, ref in found.items() if ref.sha256 != champion.sha256}
    compared = None
    if with_champion and champion and (best := found[best_policy(found)[0]]).sha256 != champion.sha256:
        compared = compare_policies(chosen, best, champion, to.promotion)
    return evaluate(chosen, found, evaluation or preset.evaluate, champion, compared)
