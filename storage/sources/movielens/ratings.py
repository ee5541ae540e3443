"""Read a ratings table, in text or Parquet, into sorted histories.

Several threads read and check blocks of lines. The module `ratings_grammar` defines a valid line.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.dataset.histories import EventBlock, UserHistories
from storage.dataset.item_index import ItemIndex
from storage.dataset.scale import RatingScale
from storage.dataset.sorting import RUN_EVENTS, sorted_histories
from storage.errors import RatingsSchemaError, SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.movielens.ratings_grammar import IGNORED, Grammar
from storage.sources.movielens.ratings_parquet import DELIMITER, parquet_lines
from storage.sources.movielens.ratings_parsing import BYTE_ORDER_MARK, ParsedBlock, parse_block, without_torn_line
from storage.sources.movielens.ratings_text import text_lines
from storage.sources.movielens.text_tables import refuse_other_kinds
from storage.threads import in_order

ColumnName = Literal["userId", "movieId", "rating", "timestamp"]
COLUMNS: tuple[ColumnName, ColumnName, ColumnName, ColumnName] = ("userId", "movieId", "rating", "timestamp")
HEAD_BYTES = 1 << 16  # the start of the file, which tells its kind and holds its header
Lines = AbstractContextManager[Iterator[Callable[[], bytes]]]  # blocks of whole lines; each is read by a call
JUDGED_ROWS = 1_000_000  # a file of mostly bad rows is refused after this many rows, not at its end


@dataclass(frozen=True)
class RatingsLayout:
    """The file of a ratings table and how it is written.

    Attributes:
        path: the file, Parquet if its name ends in .parquet, else text.
        delimiter: between two fields of a text, 1 to 8 bytes.
        header: whether the first line names the columns. Without a header there are exactly four columns, in the order of
            `columns`.
        columns: names of the columns of user, item, rating and timestamp; None: userId, movieId, rating, timestamp. A
            table may have them in any order, and further columns.
    """

    path: Path
    delimiter: bytes = b","
    header: bool = True
    columns: tuple[str, str, str, str] | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.delimiter) <= 8 or set(self.delimiter) & set(b'0123456789.-"\r\n\x00'):
            raise ValueError(
                f"delimiter: expected 1 to 8 bytes that no number holds; found {self.delimiter!r}. Set that of the file."
            )

    def renamed(self, names: Mapping[ColumnName, str]) -> Self:
        """The same table with other names for some of COLUMNS."""
        user, item, rating, timestamp = (names.get(name, name) for name in COLUMNS)
        return replace(self, columns=(user, item, rating, timestamp)) if names else self


def read_ratings(
    layout: RatingsLayout,
    scale: RatingScale,
    known_movies: NDArray[np.int64],
    bad: BadRows,
    facts: dict[str, Any],
    *,
    run_events: int = RUN_EVENTS,
    scratch: Path | None = None,
) -> Iterator[UserHistories]:
    """Read a ratings table into whole histories, about a million events at a time.

    Two kinds of events are dropped and counted: those of movies not in `known_movies`, and those that repeat the user,
    movie and timestamp of an earlier line.

    Args:
        layout: the file and how it is written.
        scale: the ratings that are accepted.
        known_movies: (I,) movie ids, ascending; the item index of a movie is its place here.
        bad: takes the lines that cannot be used.
        facts: receives the counts; complete after the last histories.
        run_events: maximum number of events in memory; see `sorted_histories`.
        scratch: folder for the events that do not fit into memory.

    Raises:
        RatingsSchemaError: the header lacks a column or names it twice, or a bad line under `reject`.
        RatingsValueError: a bad line under `reject`; the error names the first one of the file.
        SourceError: there is no file; it is empty, a web page, an archive or UTF-16 text; more than half of the rows are
            bad; there are no rows; or no row is of a known movie.
    """
    facts |= {"rows": 0, "events": 0, "dropped_unknown_movie": 0}
    blocks = _checked(layout, scale, ItemIndex(known_movies), bad, facts)
    yield from sorted_histories(blocks, len(known_movies), facts, run_events=run_events, scratch=scratch)
    facts |= bad.facts()


def _opened(layout: RatingsLayout, scale: RatingScale, items: ItemIndex) -> tuple[Grammar, int, Lines]:
    """How to read the lines of a file, the number of its first row (1-based), and its blocks of whole lines."""
    path = layout.path
    if not path.is_file():
        raise SourceError(f"{path}: expected a file; found none. Check the path.")
    names: tuple[str, str, str, str] = layout.columns or COLUMNS
    if path.suffix.lower() == ".parquet":
        return Grammar(names, DELIMITER, bytes(range(4)), scale, items), 1, parquet_lines(path, names)
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    _refuse_other_kinds(path, head)
    start = len(BYTE_ORDER_MARK) if head.startswith(BYTE_ORDER_MARK) else 0
    roles, body = bytes(range(4)), start
    if layout.header:
        line, end, _ = head[start:].partition(b"\n")
        if not end and len(head) == HEAD_BYTES:
            raise SourceError(
                f"{path}: expected a header of at most {HEAD_BYTES} bytes; found more. Check that this is the right file."
            )
        roles, body = _roles(layout, line, names), start + len(line) + len(end)
    return Grammar(names, layout.delimiter, roles, scale, items), 1 + layout.header, text_lines(path, body)


def _refuse_other_kinds(path: Path, head: bytes) -> None:
    refuse_other_kinds(path, head)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\x00" in head.split(b"\n")[0]:
        raise SourceError(f"{path}: expected UTF-8 or ASCII text; found UTF-16 or binary data. Save it as UTF-8 CSV.")


def _roles(layout: RatingsLayout, header: bytes, names: tuple[str, ...]) -> bytes:
    """The role of each field, from the header."""
    text = header.removesuffix(b"\r")
    found = [name.decode("utf-8", "replace").strip().strip('"') for name in text.split(layout.delimiter)]
    if any(found.count(name) != 1 for name in names):
        raise RatingsSchemaError(
            f"{layout.path}: expected columns {','.join(names)}, each once, divided by {layout.delimiter.decode('utf-8', 'replace')!r}; "
            f"found {text.decode('utf-8', 'replace')[:200]}. Set `columns=` in SourceParams to map them."
        )
    return bytes(names.index(name) if name in names else IGNORED for name in found)


def _checked(
    layout: RatingsLayout, scale: RatingScale, items: ItemIndex, bad: BadRows, facts: dict[str, Any]
) -> Iterator[EventBlock]:
    """The events of all good lines in file order; bad lines go to `bad`, counts to `facts`."""
    grammar, line, lines = _opened(layout, scale, items)
    path, bad_rows, first_bad = layout.path, 0, ""
    earliest: int | None = None  # timestamp
    with lines as reads:

        def parse(read: Callable[[], bytes]) -> ParsedBlock:
            return parse_block(read(), grammar)

        with closing(in_order(parse, reads)) as blocks:  # its threads end before the file is closed
            for parsed in blocks:
                block = without_torn_line(parsed, grammar, earliest)
                for row in block.bad:
                    reason, text = row.reason, row.text.decode("utf-8", "replace")
                    bad.add(path.name, line + row.line, reason.text, text, reason.error)
                    first_bad = first_bad or f"line {line + row.line}: {reason.text}"
                line += block.lines
                bad_rows += len(block.bad)
                facts["rows"] += block.rows
                facts["dropped_unknown_movie"] += block.unknown_movies
                if facts["rows"] >= JUDGED_ROWS:
                    _refuse_mostly_bad(path, bad_rows, facts["rows"], first_bad)
                if len(times := block.events.timestamp):
                    earliest = int(times.min()) if earliest is None else min(earliest, int(times.min()))
                yield block.events
    pa.default_memory_pool().release_unused()  # what parsing took is not needed for sorting
    _refuse_mostly_bad(path, bad_rows, facts["rows"], first_bad)
    if not facts["rows"]:
        raise SourceError(f"{path}: expected ratings; found only a header. Give a whole release.")
    if facts["rows"] == bad_rows + facts["dropped_unknown_movie"]:
        raise SourceError(
            f"{path}: expected ratings of movies in the movies table; found none. Take both files from one release."
        )


def _refuse_mostly_bad(path: Path, bad_rows: int, rows: int, first_bad: str) -> None:
    if 2 * bad_rows > rows:
        raise SourceError(
            f"{path}: expected a ratings table; found {bad_rows} bad rows in {rows}, the first in {first_bad}. "
            "Check that this is the right file, and that its columns and delimiter are as given."
        )
