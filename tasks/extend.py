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
from storage.dataset.item_table import FEATURES
from storage.dataset.splits import SplitParams
from storage.errors import ArtifactError, DatasetError
from storage.tables import embedding_matrix, items_table
from tasks.caching import artifact_store, artifact_task
from tasks.dask_cluster import ClusterParams
from tasks.feature_blocks import further_columns
from tasks.fitted_features import read_features
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
    """The artifacts and parameters that a dataset was made from."""

    items: ArtifactRef
    movies: ArtifactRef
    texts: ArtifactRef
    text: TextParams
    split: SplitParams


def lineage_of(dataset: ArtifactRef) -> Lineage:
    """The lineage of a dataset in this work directory.

    Raises:
        ArtifactError: an artifact that it was made from is missing.
    """
    store = artifact_store()
    made = store.manifest(dataset).recipe
    try:
        items = store.select("items", made.inputs["items"])
        movies, texts = (store.select(kind, store.manifest(items).recipe.inputs[kind]) for kind in ("movies", "texts"))
        split = made.parameters.get("splits")  # of a dataset that was extended before
        if split is None:
            split = store.manifest(store.select("splits", made.inputs["splits"])).recipe.parameters["params"]
    except ArtifactError as error:
        raise ArtifactError(
            f"dataset/{dataset.digest}: expected the artifacts that it was made from in this work directory; found: {error} "
            "Build the dataset here with build-dataset first."
        ) from error
    text = TextParams.model_validate(store.manifest(texts).recipe.parameters["params"])
    return Lineage(items, movies, texts, text, SplitParams.model_validate(split))


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


@artifact_task("items")
def make_grown_items(draft: Draft, base: ArtifactRef, movies: ArtifactRef, texts: ArtifactRef) -> None:
    """Write the items of a dataset unchanged, and the further movies where its fitted features place them.

    Args:
        draft: receives the items, and copies of the fitted features and their description.
        base: the items.
        movies: theirs and the further ones.
        texts: of all of them.
    """
    store = artifact_store()
    folder, table = store.open(base), read_table(movies, "movies.parquet")
    text = np.load(store.open(texts) / "texts.npy", allow_pickle=False)
    known = read_table(base, "items.parquet")
    is_new = ~np.isin(table["movie_id"].to_numpy(), known["movie_id"].to_numpy())
    fitted = read_features(folder)
    placed = fitted.embed(further_columns(table.filter(pa.array(is_new)), text[is_new]))
    embedding = np.empty((len(is_new), placed.shape[1]), dtype=np.float32)
    embedding[~is_new], embedding[is_new] = embedding_matrix(known), placed
    items = items_table(table, embedding, has_text=text.any(axis=1))
    pq.write_table(items, draft.path / "items.parquet")
    for name in (FEATURES, "features.json"):
        copy_file(base, name, draft.path)
    draft.rows = items.num_rows
    draft.facts = store.manifest(base).facts | {
        "with_text": int(text.any(axis=1).sum()),
        "with_metadata": int(pc.sum(items["has_metadata"]).as_py()),
        "added": int(is_new.sum()),
    }


def extend_items(movies: ArtifactRef, lineage: Lineage, cluster: ClusterParams) -> ArtifactRef:
    """Make the items of all movies: old movies keep their embeddings, and only new texts are encoded."""
    return make_grown_items(lineage.items, movies, make_texts(movies, lineage.text, cluster, lineage.texts))


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
    for name in ("items.parquet", FEATURES):
        copy_file(items, name, draft.path)
