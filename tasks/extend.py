"""Add later ratings and movies to a dataset; its old movies, embeddings and histories stay unchanged."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.artifacts.store import ArtifactRef, Draft
from storage.dataset.event_table import read_histories
from storage.dataset.extension import extend_transitions
from storage.dataset.format import opened
from storage.dataset.head import Head
from storage.dataset.splits import SplitParams
from storage.errors import ArtifactError, DatasetError
from storage.tables import embedding_matrix
from tasks.caching import artifact_store, artifact_task
from tasks.dask_cluster import ClusterParams
from tasks.features import FeatureParams, make_items
from tasks.ingest import copy_file, read_table
from tasks.sources import SourceParams
from tasks.texts import TextParams, make_texts


def need_times(source: SourceParams) -> None:
    """Refuse a source without timestamps, because its ratings cannot be ordered after earlier ones.

    Raises:
        DatasetError: the source has no timestamps.
    """
    if source.generic is not None and source.generic.timestamp is None:
        raise DatasetError(
            f"{source.generic.ratings}: expected a timestamp column, to order later ratings after earlier ones; found "
            "none declared. Map one, or build the dataset again from one file."
        )


class Lineage(NamedTuple):
    """The artifacts and parameters that a dataset's items were made from."""

    items: ArtifactRef
    movies: ArtifactRef
    events: ArtifactRef
    splits: ArtifactRef
    texts: ArtifactRef
    tags: ArtifactRef | None
    features: FeatureParams
    text: TextParams
    split: SplitParams


def lineage_of(dataset: ArtifactRef) -> Lineage:
    """The lineage of a dataset in this work directory; features of an extended dataset stay fitted on its first base.

    Raises:
        ArtifactError: an artifact that it was made from is missing.
    """
    store = artifact_store()
    try:
        items = store.select("items", store.manifest(dataset).recipe.inputs["items"])
        made = store.manifest(items).recipe
        found = {kind: store.select(kind, made.inputs[kind]) for kind in ("movies", "events", "splits", "texts")}
        tags = store.select("tags", made.inputs["tags"]) if "tags" in made.inputs else None
    except ArtifactError as error:
        raise ArtifactError(
            f"dataset/{dataset.digest}: expected the artifacts that it was made from in this work directory; found: {error} "
            "Build the dataset here with build-dataset first."
        ) from error
    features = FeatureParams.model_validate(made.parameters["params"])
    text = TextParams.model_validate(store.manifest(found["texts"]).recipe.parameters["params"])
    split = SplitParams.model_validate(store.manifest(found["splits"]).recipe.parameters["params"])
    return Lineage(items=items, tags=tags, features=features, text=text, split=split, **found)


@artifact_task("movies")
def make_grown_movies(draft: Draft, known: ArtifactRef, found: ArtifactRef) -> None:
    """Write the movies of a dataset unchanged, and the new movies among `found`."""
    old, new = read_table(known, "movies.parquet"), read_table(found, "movies.parquet")
    is_new = ~np.isin(new["movie_id"].to_numpy(), old["movie_id"].to_numpy())
    grown = pa.concat_tables([old, new.filter(pa.array(is_new))]).sort_by("movie_id")
    ids = ["movie_id", "external_id"]
    common = old.select(ids).join(new.select(ids), "movie_id", right_suffix="_new", join_type="inner")
    others = pc.sum(pc.not_equal(common["external_id"], common["external_id_new"])).as_py() or 0
    if others:
        raise DatasetError(
            f"movies to add: expected the dataset's own ids for its movies; found {others} other ids. "
            "Append data of the same source."
        )
    pq.write_table(grown, draft.path / "movies.parquet")
    draft.rows, draft.facts = grown.num_rows, {"movies": grown.num_rows, "new": int(is_new.sum())}


def extend_items(movies: ArtifactRef, lineage: Lineage, cluster: ClusterParams) -> ArtifactRef:
    """Make the items of all movies: old movies keep their embeddings, and only new texts are encoded."""
    texts = make_texts(movies, lineage.text, cluster, lineage.texts)
    return make_items(movies, lineage.events, lineage.splits, texts, lineage.features, lineage.tags, lineage.items)


@artifact_task("dataset")
def make_extended_dataset(
    draft: Draft, base: ArtifactRef, events: ArtifactRef, items: ArtifactRef, splits: SplitParams, move_time_cut: bool
) -> None:
    """Merge new events into a dataset's histories.

    The file equals the one that writing all events at once with these items and this time cut gives.
    """
    store = artifact_store()
    catalogue = read_table(items, "items.parquet")
    movie_ids = catalogue["movie_id"].to_numpy()
    path = store.open(base) / "transitions.h5"
    with opened(path, "compact") as file:
        scale = Head.read(file).scale
    draft.facts = extend_transitions(
        path,
        lambda: read_histories(store.open(events) / "events.parquet", movie_ids, scale),
        out=draft.path / "transitions.h5",
        movie_ids=movie_ids,
        embeddings=embedding_matrix(catalogue),
        splits=splits,
        move_time_cut=move_time_cut,
        provenance={"base": base.digest, "events": events.digest, "items": items.digest},
    )
    draft.rows = draft.facts["transitions"]
    copy_file(items, "items.parquet", draft.path)
