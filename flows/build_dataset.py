"""`build-dataset`: raw ratings and metadata → a gated transition dataset."""

from prefect import flow

from flows.parameters import ProfileName, load_profile
from storage.artifacts import ArtifactRef
from tasks.dask_cluster import ClusterParams
from tasks.export import ExportParams, make_dataset
from tasks.features import FeatureParams, build_items
from tasks.gates import gate, judge_events, judge_items, judge_movies, judge_transitions
from tasks.ingest import SourceParams, make_events, make_movies, make_splits, prepare_source


@flow(name="build-dataset", validate_parameters=True)
def build_dataset(
    profile: ProfileName = "sample",
    source: SourceParams | None = None,
    features: FeatureParams | None = None,
    export: ExportParams | None = None,
    cluster: ClusterParams | None = None,
) -> ArtifactRef:
    """Ingest, embed, gate and export; returns the dataset.

    Args:
        profile: the named parameter set that fills what is not given.
        source: where ratings and metadata come from.
        features: what an item embedding is made of.
        export: how histories become transitions, and what is held out.
        cluster: where Dask's work is done.
    """
    preset = load_profile(profile)
    source, features = source or preset.source, features or preset.features
    export, cluster = export or preset.export, cluster or preset.cluster

    raw = prepare_source(source)
    movies = make_movies(raw, raw.of("movies"))
    gate("movies", judge_movies, movies)
    events = make_events(raw, raw.of("ratings"), movies, source.columns)
    gate("events", judge_events, events, movies)
    splits = make_splits(events, export.splits)
    items = build_items(movies, events, splits, features, cluster)
    gate("items", judge_items, items, movies)
    dataset = make_dataset(events, items, splits, export.frame)
    gate("transitions", judge_transitions, dataset)
    return dataset
