"""The flow `publish-artifacts`: upload a report, its dataset and its policies."""

from prefect import flow

from flows.parameters import load_profile
from tasks.caching import artifact_store
from tasks.item_index import publish_index
from tasks.policies import policies_on
from tasks.promote import promote
from tasks.publish import PublishParams, best_policy, destination, move_aliases, publish_artifact, why_named
from tasks.story import with_summary


@flow(name="publish-artifacts", validate_parameters=True)
@with_summary
def publish_artifacts(profile: str = "sample", report: str = "latest", publish: PublishParams | None = None) -> str:
    """Publish a report with its dataset and policies, move the aliases, and decide about the champion; returns the URI.

    Args:
        profile: a name in `flows/profiles/` or the path of a YAML file; it sets what the other parameters leave out.
        report: its digest, the first digits of it, or `latest`.
        publish: where to publish, and when the champion changes.
    """
    params = publish or load_profile(profile).publish
    store = artifact_store()
    chosen = store.select("report", report)
    inputs = store.manifest(chosen).recipe.own_inputs  # foreign policies that were compared are published already
    dataset = store.select("dataset", inputs["dataset"])
    policies = policies_on(dataset, [digest for name, digest in inputs.items() if name.startswith("policies.")])
    uri = destination(params)
    for ref in (dataset, *policies.values(), chosen):
        publish_artifact(ref, uri)
    best, _ = best_policy(policies)
    move_aliases(dataset, policies, chosen, uri)
    why = why_named(dataset, best, policies[best])
    promote(uri, dataset, policies[best], why, params.champion, params.promotion)
    if params.index is not None:  # last, so that an index that fails holds nothing else back
        publish_index(dataset, policies[best], params.index, uri)
    return uri
