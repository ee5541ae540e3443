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
MOST_ROWS = 1_000_000  # that one reader may set aside, because they are held in memory


class BadRow(NamedTuple):
    """One row that was set aside."""

    file: str
    line: int  # 1-based, the header being line 1
    reason: str  # expected …; found …
    text: str


class BadRows:
    """Collects rows that cannot be used: `reject` raises an error at the first one, `quarantine` sets them aside."""

    def __init__(self, policy: OnBadRows = "reject") -> None:
        self.policy = policy
        self.rows: list[BadRow] = []

    def add(self, file: str, line: int, reason: str, text: str, error: type[SourceError] = RatingsSchemaError) -> None:
        """Set a row aside.

        Args:
            file: name of the file.
            line: number of the line, 1-based.
            reason: "expected …; found …", without a full stop.
            text: the row; 200 characters of it are kept.
            error: the type of error under `reject`.

        Raises:
            SourceError: under `reject`, as `error`.
        """
        if self.policy == "reject":
            raise error(
                f"{file}, line {line}: {reason}. Correct or remove the line, or set on_bad_rows=quarantine to continue without it."
            )
        if len(self.rows) >= MOST_ROWS:
            raise error(
                f"{file}, line {line}: expected at most {MOST_ROWS:,} rows to set aside; found more. Correct the file: "
                f"{reason}."
            )
        self.rows.append(BadRow(file, line, _plain(reason), _plain(text[:MAX_TEXT_CHARS])))

    def facts(self) -> dict[str, Any]:
        """The number of rows that were set aside, in all and by file."""
        return {"quarantined": len(self.rows), "quarantined_by_file": dict(Counter(row.file for row in self.rows))}

    def table(self) -> pa.Table:
        """The rows set aside, in QUARANTINE_SCHEMA."""
        columns = zip(*self.rows, strict=True) if self.rows else ([],) * len(QUARANTINE_SCHEMA)
        return pa.table([list(column) for column in columns], schema=QUARANTINE_SCHEMA)


def _plain(text: str) -> str:
    """The text without lone surrogates, which UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()
