"""Read movies that a dataset does not have yet from a file whose columns are named as in movies.parquet."""

from pathlib import Path

import pyarrow as pa

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows
from storage.sources.generic.declaration import GenericItems
from storage.sources.generic.ids import check_collisions, stable_ids
from storage.sources.generic.items import read_items
from storage.sources.metadata.fields import source_table
from storage.sources.movielens.movies import NO_GENRE, parse_title
from storage.sources.records import open_records
from storage.tables import METADATA_SCHEMA, MOVIES_SCHEMA

OWN = ("title", "year", "genres")  # beside the id and the metadata
IDS = ("movie_id", "movieId")


def read_new_items(path: Path) -> pa.Table:
    """The movies of a CSV, JSON-lines or Parquet file, in MOVIES_SCHEMA, sorted by movie_id.

    Columns are movie_id (or movieId), title, year, genres and any of METADATA_SCHEMA; only the id is needed. Lists are
    separated by |. A title may have the year behind it, as in MovieLens.

    Raises:
        MetadataError: the file cannot be read, has unknown columns or no id, a row is broken or repeats an id, or there is none.
        SourceError: two ids have the same number.
    """
    if not path.is_file():
        raise MetadataError(f"{path}: expected a file of movies; found none there. Check the path.")
    possible = (*OWN, *METADATA_SCHEMA.names)
    bad = BadRows("quarantine")
    found = open_records(path, bad).columns or ("movie_id", *possible)  # JSON lines have no header
    ids, unknown = set(found) & set(IDS), sorted(set(found) - {*IDS, *possible})
    if len(ids) != 1 or unknown:
        what = f"unknown columns {', '.join(unknown)[:200]}" if unknown else f"{len(ids)} columns of ids"
        raise MetadataError(
            f"{path}: expected one of {' and '.join(IDS)}, and others of {', '.join(possible)}; found {what}. Rename or remove columns."
        )
    title, year, genres = (name if name in found else None for name in OWN)
    columns = {name: name for name in METADATA_SCHEMA.names if name in found}
    items = GenericItems(path=path, id=ids.pop(), title=title, year=year, categories=genres, columns=columns)
    rows, _ = read_items(items, bad)
    if bad.rows:
        first = bad.rows[0]
        raise MetadataError(
            f"{first.file}, line {first.line}: {first.reason}. Correct or remove the broken rows; there are {len(bad.rows)}."
        )
    if not rows:
        raise MetadataError(f"{path}: expected movies; found none. Is this the right file?")
    numbers = stable_ids([row["external_id"] for row in rows])
    check_collisions([row["external_id"] for row in rows], numbers, str(path))
    for row, number in zip(rows, numbers.tolist(), strict=True):
        if row["year"] is None:
            row["title"], row["year"] = parse_title(row["title"])
        row["genres"] = [name for name in row["genres"] if name not in NO_GENRE]
        row |= {
            "movie_id": number,
            "has_metadata": any(row.get(name) for name in columns),
            "metadata_source": path.name,
        }
    return source_table(sorted(rows, key=lambda row: row["movie_id"]), MOVIES_SCHEMA)
