"""The flow `retrain`: all stages, from ratings to published artifacts."""

from prefect import flow
from pydantic import BaseModel

from evaluation.evaluate import EvaluateParams
from flows.build_dataset import build_dataset
from flows.evaluate_policy import evaluate_policy
from flows.extend_dataset import extend_dataset
from flows.parameters import load_profile
from flows.publish_artifacts import publish_artifacts
from flows.train_policy import train_policy
from storage.artifacts.store import ArtifactRef
from tasks.dask_cluster import ClusterParams
from tasks.drift import DriftParams, pass_drift_gate
from tasks.export import ExportParams
from tasks.features import FeatureParams
from tasks.gates import validating
from tasks.new_data import has_new_files, published_dataset, show_new_data
from tasks.publish import PublishParams, destination
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
    on_new_data: bool = False,
    drift: DriftParams | None = None,
) -> Retrained | None:
    """Build a dataset, train, evaluate and publish; steps whose inputs, parameters and code have not changed are skipped.

    Returns None if `on_new_data` is set and there is nothing new.

    Args:
        profile: a name in `flows/profiles/` or the path of a YAML file; it sets what the other parameters leave out.
        source: the files or web services that ratings and metadata are read from.
        features: what the item embeddings are computed from.
        export: how histories become transitions, and which users are held out.
        cluster: where texts are encoded and features computed: in this process or on Dask.
        train: learners, their hyper-parameters, the length of training and the seed.
        device: `auto` uses the GPU if there is one.
        evaluation: length of the lists, steps per user, sample sizes.
        publish: where to publish, and when the champion changes.
        on_new_data: end early unless the source has changed since the last publication; then extend the dataset that was
            published last, with its features and splits, move its time cut, and check the later events for drift. The first
            time, build a dataset.
        drift: how much later events may differ from those before; used with `on_new_data`.
    """
    preset = load_profile(profile)
    to = publish or preset.publish
    base = published_dataset(destination(to)) if on_new_data else None
    if base is None:
        dataset = build_dataset(profile, source, features, export, cluster)
    else:
        later = source or preset.source
        changed = has_new_files(later, base)
        dataset = extend_dataset(profile, base.digest, later, cluster, move_time_cut=True) if changed else base
        if not show_new_data(base, dataset):
            return None
        with validating():
            pass_drift_gate(base, dataset, drift or preset.drift)
    policies = train_policy(profile, dataset.digest, train or preset.train, device)
    digests = [ref.digest for ref in policies.values()]
    judge = evaluation or preset.evaluate
    report = evaluate_policy(profile, dataset.digest, digests, judge, to, with_champion=True)
    published = publish_artifacts(profile, report.digest, to)
    return Retrained(dataset=dataset, policies=policies, report=report, published=published)
