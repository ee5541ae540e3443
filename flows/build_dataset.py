"""The flow `build-dataset`: from ratings and metadata to a validated dataset of transitions."""

from prefect import flow

from flows.parameters import load_profile
from storage.artifacts.store import ArtifactRef
from tasks.crawl import crawl_services
from tasks.dask_cluster import ClusterParams, log_where
from tasks.export import ExportParams, make_dataset
from tasks.feature_report import report_features
from tasks.features import FeatureParams, build_items
from tasks.gates import gate, validate_events, validate_items, validate_movies, validate_transitions, validating
from tasks.ingest import make_catalogue, make_events, make_movies, make_splits, make_tags, show_bad_rows
from tasks.sources import SourceParams, open_source
from tasks.story import with_summary


@flow(name="build-dataset", validate_parameters=True)
@with_summary
def build_dataset(
    profile: str = "sample",
    source: SourceParams | None = None,
    features: FeatureParams | None = None,
    export: ExportParams | None = None,
    cluster: ClusterParams | None = None,
) -> ArtifactRef:
    """Read the sources, compute embeddings, validate every table, and write the dataset; returns the dataset.

    Args:
        profile: a name in `flows/profiles/` or the path of a YAML file; it sets what the other parameters leave out.
        source: the files or web services that ratings and metadata are read from.
        features: what the item embeddings are computed from.
        export: how histories become transitions, and which users are held out.
        cluster: where texts are encoded and features computed: in this process or on Dask.
    """
    preset = load_profile(profile)
    source, features = source or preset.source, features or preset.features
    export, cluster = export or preset.export, cluster or preset.cluster
    bad_rows, scale = source.on_bad_rows, source.scale

    with validating():
        raw = open_source(source)
        catalogue = make_catalogue(raw, raw.of("movies", "genres", "links"), bad_rows)
        log_where(cluster, catalogue.rows)
        web = crawl_services(catalogue, source)
        movies = make_movies(raw, raw.of("metadata", "imdb"), catalogue, web, bad_rows)
        show_bad_rows("movies", catalogue, movies)
        gate("movies", validate_movies, movies)
        events = make_events(raw, raw.of("ratings"), catalogue, scale, source.columns, bad_rows)
        show_bad_rows("events", events)
        gate("events", validate_events, events, movies, scale, source.max_unknown_share)
        tags = (
            make_tags(raw, raw.of("tags", "genome_scores", "genome_tags"), catalogue, bad_rows)
            if raw.has_tags
            else None
        )
        splits = make_splits(events, export.splits)
        items = build_items(movies, events, splits, features, cluster, tags)
        gate("items", validate_items, items, movies)
        report_features(items, movies, events)
        dataset = make_dataset(events, items, splits, export.frame, scale, export.reward)
        gate("transitions", validate_transitions, dataset)
        return dataset
