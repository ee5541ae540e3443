"""The flow `retrain`: all stages, from ratings to published artifacts."""

from prefect import flow
from pydantic import BaseModel

from evaluation.judging import EvaluateParams
from flows.build_dataset import build_dataset
from flows.evaluate_policy import evaluate_policy
from flows.parameters import load_profile
from flows.publish_artifacts import publish_artifacts
from flows.train_policy import train_policy
from storage.artifacts.store import ArtifactRef
from tasks.dask_cluster import ClusterParams
from tasks.export import ExportParams
from tasks.features import FeatureParams
from tasks.publish import PublishParams
from tasks.sources import SourceParams
from tasks.story import with_summary
from tasks.train import Device, TrainParams


class Retrained(BaseModel):
    """The artifacts that a retraining made, and the URI they are published to."""

    dataset: ArtifactRef
    policies: dict[str, ArtifactRef]
    report: ArtifactRef
    published: str


@flow(name="retrain", validate_parameters=True)
@with_summary
def retrain(
    profile: str = "sample",
    source: SourceParams | None = None,
    features: FeatureParams | None = None,
    export: ExportParams | None = None,
    cluster: ClusterParams | None = None,
    train: TrainParams | None = None,
    device: Device = "auto",
    evaluation: EvaluateParams | None = None,
    publish: PublishParams | None = None,
) -> Retrained:
    """Build a dataset, train, evaluate and publish; steps whose inputs, parameters and code have not changed are skipped.

    Args:
        profile: a name in `flows/profiles/` or the path of a YAML file; it sets what the other parameters leave out.
        source: the files or web services that ratings and metadata are read from.
        features: what the item embeddings are computed from.
        export: how histories become transitions, and which users are held out.
        cluster: the Dask cluster that encodes texts.
        train: learners, their hyper-parameters, the length of training and the seed.
        device: `auto` uses the GPU if there is one.
        evaluation: length of the lists, steps per user, sample sizes.
        publish: where to publish, and when the champion changes.
    """
    preset = load_profile(profile)
    dataset = build_dataset(profile, source, features, export, cluster)
    policies = train_policy(profile, dataset.digest, train or preset.train, device)
    digests = [ref.digest for ref in policies.values()]
    to = publish or preset.publish
    judge = evaluation or preset.evaluate
    report = evaluate_policy(profile, dataset.digest, digests, judge, to, with_champion=True)
    published = publish_artifacts(profile, report.digest, to)
    return Retrained(dataset=dataset, policies=policies, report=report, published=published)
