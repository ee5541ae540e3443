"""Rows that cannot be used: refused with file, line and reason, or set aside and counted."""

from collections import Counter
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from storage.errors import RatingsSchemaError, SourceError

OnBadRows = Literal["reject", "quarantine"]
QUARANTINE_SCHEMA = pa.schema(
    [("file", pa.string()), ("line", pa.int64()), ("reason", pa.string()), ("text", pa.string())]
)
MAX_TEXT_CHARS = 200
MOST_ROWS = 1_000_000  # set aside by one reader: they are held in memory


class BadRow(NamedTuple):
    """One row that was set aside."""

    file: str
    line: int  # 1-based, the header being line 1
    reason: str  # expected …; found …
    text: str


class BadRows:
    """What becomes of rows that cannot be used: `reject` raises at the first, `quarantine` keeps them aside."""

    def __init__(self, policy: OnBadRows = "reject") -> None:
        self.policy = policy
        self.rows: list[BadRow] = []

    def add(self, file: str, line: int, reason: str, text: str, error: type[SourceError] = RatingsSchemaError) -> None:
        """Set a row aside.

        Args:
            file: its name.
            line: 1-based.
            reason: "expected …; found …", no full stop.
            text: the row, cut to 200 characters.
            error: what is raised under `reject`.

        Raises:
            SourceError: under `reject`, as `error`.
        """
        if self.policy == "reject":
            raise error(
                f"{file}, line {line}: {reason}. Mend or remove the line, or set on_bad_rows=quarantine to go on without it."
            )
        if len(self.rows) >= MOST_ROWS:
            raise error(
                f"{file}, line {line}: expected at most {MOST_ROWS:,} rows to set aside; found more. Mend the file: "
                f"{reason}."
            )
        self.rows.append(BadRow(file, line, _plain(reason), _plain(text[:MAX_TEXT_CHARS])))

    def facts(self) -> dict[str, Any]:
        """How many rows were set aside, by file."""
        return {"quarantined": len(self.rows), "quarantined_by_file": dict(Counter(row.file for row in self.rows))}

    def table(self) -> pa.Table:
        """The rows set aside, in QUARANTINE_SCHEMA."""
        columns = zip(*self.rows, strict=True) if self.rows else ([],) * len(QUARANTINE_SCHEMA)
        return pa.table([list(column) for column in columns], schema=QUARANTINE_SCHEMA)


def _plain(text: str) -> str:
    """The text without halves of surrogate pairs, which no file can hold."""
    return text.encode("utf-8", "replace").decode()
