"""Reads the tag genome: how much each tag applies to each movie, as computed by GroupLens."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from storage.errors import RatingsValueError, SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.movielens.releases import Release
from storage.sources.movielens.text_tables import (
    CSV,
    header_names,
    parsed_rows,
    read_rows,
    refuse_other_kinds,
    whole_number,
)

GENOME_LICENCE = (
    "Tag genome (GroupLens): cite Vig, Sen and Riedl 2012. Computed from the ratings, tags and reviews of all users, "
    "held-out ones among them: for a strict protocol set features.weights.genome=0."
)
GENOME_COLUMNS = ("movieId", "tagId", "relevance")
BLOCK_BYTES = 32 << 20
MAX_TAG_ID = 1_000_000
LEAST_FULL = 0.5  # share of pairs that must have a value
LEAST_ROW_BYTES = 6  # of one score: 1,1,0 and a line end
MIN_PAIRS = 1 << 20  # of which the table may always have so many
MAX_LINE_BYTES = 1 << 16
DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


class GenomeTable(NamedTuple):
    """How much each of T tags applies to each of M movies, as computed by GroupLens."""

    movie_ids: NDArray[np.int64]  # (M,) ascending
    tags: list[str]  # (T,) by tag id
    relevance: NDArray[np.float32]  # (M, T) 0 … 1; NaN for a pair without a value
    missing: int  # number of NaN


class _Scores(NamedTuple):
    """N rows of genome scores as they were read."""

    movie: NDArray[np.integer[Any]]  # (N,)
    tag: NDArray[np.integer[Any]]  # (N,) tag ids
    relevance: NDArray[np.float32]  # (N,)
    lines: Sequence[int]  # (N,) line of each in the file


def read_genome(release: Release, bad: BadRows) -> GenomeTable | None:
    """Read the tag genome of a release; None if it has none.

    A pair of movie and tag that the file does not have is NaN and counted; a file with less than half of the pairs is
    refused. Set aside: relevances outside 0 … 1, tag ids that genome-tags.csv does not have, and repeated pairs.

    Args:
        release: of any kind.
        bad: takes the rows that cannot be used.

    Raises:
        SourceError, RatingsSchemaError: a file is missing or not such a table, too many pairs have no value, or `bad` rejects a row.
    """
    path, names = release.files["genome_scores"], release.files["genome_tags"]
    if path is None:
        return None
    if names is None:
        raise SourceError(f"{path}: expected genome-tags.csv beside it; found none. Give a whole release.")
    tags, column_of = _genome_tags(names, bad)
    most_pairs = path.stat().st_size // LEAST_ROW_BYTES
    row_of: dict[int, int] = {}  # in order of appearance
    grid, pairs = np.zeros(0, dtype=np.float32), 0
    for scores in _score_blocks(path, column_of, bad):
        cell = _rows(scores.movie, row_of) * len(tags) + column_of[scores.tag]
        if LEAST_FULL * len(row_of) * len(tags) > max(most_pairs, MIN_PAIRS):
            raise _too_empty(path, len(row_of), len(tags), f"room for {most_pairs}")
        if len(row_of) * len(tags) > len(grid):
            more = max(len(grid), len(row_of) * len(tags) - len(grid))
            grid = np.concatenate([grid, np.full(more, np.nan, dtype=np.float32)])
        step = np.diff(cell)
        in_a_row = len(cell) > 0 and bool((step == 1).all())  # GroupLens' own order, for which a slice is much faster
        place = slice(cell[0], cell[-1] + 1) if in_a_row else cell
        fresh = np.isnan(grid[place])
        if (step <= 0).any():  # a pair may come twice within the block
            first = np.zeros(len(cell), dtype=bool)
            first[np.unique(cell, return_index=True)[1]] = True
            fresh &= first
        if fresh.all():
            grid[place] = scores.relevance
        else:
            grid[cell[fresh]] = scores.relevance[fresh]
        for row in np.flatnonzero(~fresh).tolist():
            reason = "expected every pair of movieId and tagId once; found one again"
            bad.add(path.name, scores.lines[row], reason, "", RatingsValueError)
        pairs += int(fresh.sum())
    size = len(row_of) * len(tags)
    if pairs < max(1, LEAST_FULL * size):
        raise _too_empty(path, len(row_of), len(tags), f"{pairs} of {size}")
    movie_ids = np.fromiter(row_of, dtype=np.int64, count=len(row_of))
    order = np.argsort(movie_ids)
    return GenomeTable(movie_ids[order], tags, grid[:size].reshape(len(row_of), len(tags))[order], size - pairs)


def _too_empty(path: Path, movies: int, tags: int, found: str) -> SourceError:
    return SourceError(
        f"{path}: expected a relevance for every pair of {movies} movies and {tags} tags; found {found}. Fetch the release "
        "again."
    )


def _rows(movie: NDArray[np.integer[Any]], row_of: dict[int, int]) -> NDArray[np.int64]:
    """The grid row of every score, (N,) int64; a new movie gets the next row. Fast if the scores of a movie are adjacent."""
    starts = np.flatnonzero(np.diff(movie, prepend=movie[:1] - 1))
    rows = np.array([row_of.setdefault(one, len(row_of)) for one in movie[starts].tolist()], dtype=np.int64)
    return np.repeat(rows, np.diff(starts, append=len(movie)))


def _genome_tags(path: Path, bad: BadRows) -> tuple[list[str], NDArray[np.int64]]:
    """The T tags by ascending id, and the column of every id up to the highest, (highest + 2,) int64, -1 for none."""
    tags: dict[int, str] = {}
    for row in read_rows(path, ("tagId", "tag"), bad):
        tag_id = whole_number(row.fields[0])
        if tag_id is None or tag_id > MAX_TAG_ID or tag_id in tags:
            reason = f"expected tagId as a whole number up to {MAX_TAG_ID:,}, each once; found {row.fields[0][:40]!r}"
            bad.add(path.name, row.line, reason, row.text, RatingsValueError)
        else:
            tags[tag_id] = " ".join(row.fields[1].split())
    if not tags:
        raise SourceError(f"{path}: expected tags; found none. Fetch the release again.")
    column_of = np.full(max(tags) + 2, -1, dtype=np.int64)
    column_of[sorted(tags)] = np.arange(len(tags))
    return [tags[tag_id] for tag_id in sorted(tags)], column_of


def _score_blocks(path: Path, column_of: NDArray[np.int64], bad: BadRows) -> Iterator[_Scores]:
    """The scores in blocks of whole lines; only a block with a bad row is read line by line."""
    with path.open("rb") as stream:
        head = stream.readline(1 << 16)
        refuse_other_kinds(path, head)
        names = header_names(path, head, GENOME_COLUMNS)
        line, rest, more = 2, b"", True
        while more:
            block = stream.read(BLOCK_BYTES)
            more = bool(block)
            data = rest + block
            cut = data.rfind(b"\n") + 1 if more else len(data)
            data, rest = data[:cut], data[cut:]
            if len(rest) > MAX_LINE_BYTES:
                raise SourceError(
                    f"{path}, line {line + data.count(10)}: expected at most {MAX_LINE_BYTES} bytes in a line; found "
                    "more. Check that this is the right file."
                )
            if not data:
                continue
            count = data.count(b"\n") + (not data.endswith(b"\n"))
            scores = _plain_scores(data, names, line, count, column_of)
            yield scores or _strict_scores(path, data, names, line, column_of, bad)
            line += count


def _plain_scores(data: bytes, names: list[str], line: int, count: int, column_of: NDArray[np.int64]) -> _Scores | None:
    # Ids beyond int32 are left to the strict reader.
    types = dict(zip(GENOME_COLUMNS, (pa.int32(), pa.int32(), pa.float32()), strict=True))
    try:
        table = pacsv.read_csv(
            pa.BufferReader(data),
            read_options=pacsv.ReadOptions(column_names=names),
            parse_options=pacsv.ParseOptions(quote_char=False),
            convert_options=pacsv.ConvertOptions(column_types=types, include_columns=list(types)),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != count or any(table[name].null_count for name in types):
        return None
    movie, tag, relevance = (table[name].to_numpy() for name in GENOME_COLUMNS)
    if movie.min() < 0 or tag.min() < 0 or tag.max() >= len(column_of) or column_of[tag].min() < 0:
        return None
    if not (relevance.min() >= 0 and relevance.max() <= 1):  # NaN makes both false
        return None
    return _Scores(movie, tag, relevance, range(line, line + count))


def _strict_scores(
    path: Path, data: bytes, names: list[str], line: int, column_of: NDArray[np.int64], bad: BadRows
) -> _Scores:
    movies, tags, values, lines = [], [], [], []
    places = [names.index(name) for name in GENOME_COLUMNS]
    for row in parsed_rows(data, line, len(names), path.name, bad, CSV):
        texts = [row.fields[place] for place in places]
        movie, tag = whole_number(texts[0]), whole_number(texts[1])
        value = float(texts[2].strip()) if DECIMAL.fullmatch(texts[2].strip()) else -1.0
        if movie is None or tag is None:
            reason = f"expected movieId and tagId as whole numbers; found {texts[0][:40]!r}, {texts[1][:40]!r}"
        elif tag >= len(column_of) or column_of[tag] < 0:
            reason = f"expected a tagId of genome-tags.csv; found {tag}"
        elif not 0 <= value <= 1:
            reason = f"expected relevance from 0 to 1; found {texts[2][:40]!r}"
        else:
            movies.append(movie)
            tags.append(tag)
            values.append(value)
            lines.append(row.line)
            continue
        bad.add(path.name, row.line, reason, row.text, RatingsValueError)
    return _Scores(np.array(movies, np.int64), np.array(tags, np.int64), np.array(values, np.float32), lines)
