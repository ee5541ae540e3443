"""The flow `extend-dataset`: append later ratings to a dataset; its items keep their embeddings, its users their split."""

from prefect import flow

from flows.parameters import load_profile
from storage.artifacts.store import ArtifactRef
from tasks.caching import artifact_store
from tasks.crawl import crawl_services
from tasks.dask_cluster import ClusterParams
from tasks.extend import extend_items, lineage_of, make_extended_dataset, make_grown_movies, need_times
from tasks.gates import gate, validate_events, validate_items, validate_movies, validate_transitions, validating
from tasks.ingest import make_catalogue, make_events, make_movies, show_bad_rows
from tasks.sources import SourceParams, open_source
from tasks.story import with_summary


@flow(name="extend-dataset", validate_parameters=True)
@with_summary
def extend_dataset(
    profile: str = "sample",
    dataset: str = "latest",
    source: SourceParams | None = None,
    cluster: ClusterParams | None = None,
    move_time_cut: bool = False,
) -> ArtifactRef:
    """Append ratings to a dataset; returns the extended dataset, which equals a rebuild with the same items and time cut.

    Tags are not read, because all statistics stay those of the dataset's training users.

    Args:
        profile: a name in `flows/profiles/` or the path of a YAML file; it sets what the other parameters leave out.
        dataset: its digest, the first digits of it, or `latest`.
        source: the later ratings and the new movies; it may also hold ratings that the dataset has.
        cluster: where texts are encoded: in this process or on Dask.
        move_time_cut: whether the time cut moves to the same quantile of all events, old and new. Events after the cut are not
            used in training, so a retraining moves it; without it, numbers after the cut stay comparable.
    """
    preset = load_profile(profile)
    source, cluster = source or preset.source, cluster or preset.cluster
    base = artifact_store().select("dataset", dataset)
    lineage = lineage_of(base)
    need_times(source)

    with validating():
        raw = open_source(source)
        found = make_catalogue(raw, raw.of("movies", "genres", "links"), source.on_bad_rows)
        web = crawl_services(found, source)
        described = make_movies(raw, raw.of("metadata", "imdb"), found, web, source.on_bad_rows)
        show_bad_rows("movies", found, described)
        movies = make_grown_movies(lineage.movies, described)
        gate("movies", validate_movies, movies)
        events = make_events(raw, raw.of("ratings"), movies, source.scale, source.columns, source.on_bad_rows)
        show_bad_rows("events", events)
        gate("events", validate_events, events, movies, source.scale, source.max_unknown_share)
        items = extend_items(movies, lineage, cluster)
        gate("items", validate_items, items, movies)
        extended = make_extended_dataset(base, events, items, lineage.split, move_time_cut)
        gate("transitions", validate_transitions, extended)
        return extended
