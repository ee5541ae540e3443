"""Read the items of a generic source as a movies table."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.errors import MetadataError, SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.generic.declaration import GenericItems, GenericParams
from storage.sources.generic.ids import check_collisions, stable_ids
from storage.sources.generic.ratings import parsed_ratings
from storage.sources.generic.values import id_text
from storage.sources.metadata import fields
from storage.sources.metadata.fields import list_of_texts, source_table
from storage.sources.metadata.files import mapped, require_columns
from storage.sources.metadata.join import is_known
from storage.sources.records import open_records
from storage.tables import METADATA_SCHEMA, MOVIES_SCHEMA

Row = dict[str, Any]


def read_generic_items(params: GenericParams, bad: BadRows) -> tuple[pa.Table, dict[str, Any]]:
    """The items as a movies table: those of the items file or, without a file, the rated ones with their ids as titles.

    Args:
        params: of the source.
        bad: takes the rows of the items file that cannot be used, and rows that repeat an id.

    Returns: a table in MOVIES_SCHEMA sorted by movie_id, and counts.

    Raises:
        SourceError: there are no items, the file is not of the kind that its name says, or two ids have the same number.
    """
    rows, facts = _rated_items(params) if params.items is None else read_items(params.items, bad)
    texts = [row["external_id"] for row in rows]
    ids = stable_ids(texts)
    source = params.ratings if params.items is None else params.items.path
    if not len(ids):
        raise SourceError(f"{source}: expected items; found none. Check that this is the right file.")
    check_collisions(texts, ids, str(source))
    order = np.argsort(ids, kind="stable")
    known = {"has_metadata": params.items is not None, "metadata_source": source.name if params.items else None}
    movies = source_table([{**rows[place], **known, "movie_id": ids[place]} for place in order], MOVIES_SCHEMA)
    coverage = {name: int(is_known(movies[name]).sum()) for name in METADATA_SCHEMA.names}
    return movies, {
        "movies": movies.num_rows,
        "without_year": movies["year"].null_count,
        "without_genres": int(pc.sum(pc.equal(pc.list_value_length(movies["genres"]), 0)).as_py()),
        "coverage": coverage,
        **facts,
    }


def _rated_items(params: GenericParams) -> tuple[list[Row], dict[str, Any]]:
    """The items of the ratings in order of first appearance; bad ratings are reported when the events are read."""
    seen: dict[str, None] = {}
    for block in parsed_ratings(params, BadRows("quarantine")):
        seen |= dict.fromkeys(block.item.unique().to_pylist())
    return [{"external_id": text, "title": text} for text in seen], {"items": "of the ratings"}


def read_items(items: GenericItems, bad: BadRows) -> tuple[list[Row], dict[str, Any]]:
    """The rows of a table of items, by our names of the columns, and counts.

    Args:
        items: the table.
        bad: takes the rows that cannot be used, and rows that repeat an id.

    Raises:
        SourceError: the file is not of the kind that its name says, or lacks a column.
    """
    named = (items.id, items.title, items.categories, items.year)
    used = [*(name for name in named if name is not None), *items.text, *items.columns.values()]
    records = open_records(items.path, bad, items.csv, used)
    require_columns(items.path, records.columns, used)
    further = mapped(items.columns, items.list_separator)
    rows: dict[str, Row] = {}
    seen = 0
    for line, values in records.rows:
        seen += 1
        try:
            row = _item(items, values) | further(values)
            if row["external_id"] in rows:
                raise ValueError(f"expected every item once; found {row['external_id'][:40]!r} again")
        except ValueError as error:
            bad.add(records.name, line, str(error), str(values), MetadataError)
            continue
        rows[row["external_id"]] = row
    return list(rows.values()), {"items": items.path.name, "rows": seen}


def _item(items: GenericItems, values: Row) -> Row:
    identity = id_text(values.get(items.id), items.id)
    parts = [part for column in items.text if (part := fields.text(values.get(column)))]
    year = fields.number(values.get(items.year)) if items.year else None
    return {
        "external_id": identity,
        "title": (fields.text(values.get(items.title)) if items.title else None) or identity,
        "year": int(year) if year is not None and 1 <= year <= 2100 else None,
        "genres": list_of_texts(values.get(items.categories), items.list_separator) if items.categories else [],
        "overview": " ".join(parts)[: fields.MAX_TEXT_CHARS] or None,
    }
