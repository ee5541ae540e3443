"""Convert cells of ratings to ids, codes and seconds: whole columns at once, or row by row, which gives the reason of a bad row.

Both ways accept the same values. If they might differ, the conversion of columns returns None and rows decide.
"""

import datetime as dt
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from storage.errors import RatingsSchemaError, RatingsValueError
from storage.sources.bad_rows import BadRows
from storage.sources.generic.declaration import GenericParams
from storage.tables import LATEST_SECOND

NEAR = 1e-3  # largest distance of a rating from the scale, in steps: float32 is not exact
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)
ASCII_SPACE = " \t\r\n\v\f"
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class ParsedRatings(NamedTuple):
    """The good rows of one block in file order."""

    user: pa.StringArray  # (n,)
    item: pa.StringArray  # (n,)
    code: NDArray[np.uint8]  # (n,) 1 … scale.codes
    timestamp: NDArray[np.int64]  # (n,) unix seconds
    rows: int  # ≥ n, number of rows with the bad ones


class CellRow(NamedTuple):
    """One row that is converted by itself."""

    line: int  # 1-based; in Parquet files the number of the row
    cells: list[Any]  # of GenericParams.columns
    text: str
    problem: str | None  # why the row could not be split into cells


def convert_columns(cells: list[pa.Array], params: GenericParams, row: int) -> ParsedRatings | None:
    """Convert columns; None if a value may be bad.

    Args:
        cells: (n,) each, of `params.columns`.
        params: of the file.
        row: place of the first row in the file, from 0.
    """
    try:
        user, item = _texts(cells[0]), _texts(cells[1])
        rating = np.asarray(_trimmed(cells[2]).cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
        second = np.arange(row, row + len(rating), dtype=np.float64)
        if params.timestamp is not None:
            second = _seconds(_trimmed(cells[3]), params.timestamp_unit)
    except pa.ArrowException:
        return None
    for texts in (user, item):
        if texts.null_count or (len(texts) and pc.min(pc.binary_length(texts)).as_py() == 0):
            return None
    scale = params.scale
    steps = (rating - scale.rating_min) / scale.step
    code = np.rint(steps)
    with np.errstate(invalid="ignore"):
        good = (steps >= 1 - NEAR) & (steps <= scale.codes + NEAR) & (second >= 0) & (second < LATEST_SECOND)
        if not params.round_to_scale:
            good &= np.abs(steps - code) <= NEAR
    if not good.all():
        return None
    return ParsedRatings(user, item, code.astype(np.uint8), second.astype(np.int64), len(rating))


def _trimmed(cells: pa.Array) -> pa.Array:
    return pc.ascii_trim_whitespace(cells) if pa.types.is_string(cells.type) else cells


def _texts(cells: pa.Array) -> pa.StringArray:
    if pa.types.is_floating(cells.type):
        cells = cells.cast(pa.int64())
    return pc.ascii_trim_whitespace(cells.cast(pa.string()))


def _seconds(cells: pa.Array, unit: str) -> NDArray[np.float64]:
    """(n,) whole seconds since 1970, NaN for nulls."""
    if unit == "iso" and pa.types.is_string(cells.type):
        try:
            cells = cells.cast(pa.timestamp("us"))
        except pa.ArrowInvalid:
            cells = cells.cast(pa.timestamp("us", "UTC"))
    per_second = 1000 if unit == "ms" else 1
    if pa.types.is_temporal(cells.type):
        zone = cells.type.tz if pa.types.is_timestamp(cells.type) else None
        cells, per_second = cells.cast(pa.timestamp("us", zone)).cast(pa.int64()), 1_000_000
    numbers = np.asarray(cells.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    return np.asarray(np.floor(numbers / per_second), dtype=np.float64)


def convert_rows(rows: Iterator[CellRow], params: GenericParams, name: str, first: int, bad: BadRows) -> ParsedRatings:
    """Convert row by row.

    Args:
        rows: of one block, in file order.
        params: of the file.
        name: name of the file, for `bad`.
        first: place of the first row in the file, from 0.
        bad: takes the rows that cannot be used.

    Raises:
        RatingsSchemaError, RatingsValueError: a bad row, if `bad` rejects.
    """
    users: list[str] = []
    items: list[str] = []
    codes: list[int] = []
    seconds: list[int] = []
    count = 0
    for row in rows:
        place, count = first + count, count + 1
        if row.problem is not None:
            bad.add(name, row.line, row.problem, row.text, RatingsSchemaError)
            continue
        try:
            user, item = id_text(row.cells[0], params.user), id_text(row.cells[1], params.item)
            code = _code(row.cells[2], params)
            second = place if params.timestamp is None else _second(row.cells[3], params)
        except ValueError as error:
            bad.add(name, row.line, str(error), row.text, RatingsValueError)
            continue
        users.append(user)
        items.append(item)
        codes.append(code)
        seconds.append(second)
    return ParsedRatings(
        pa.array(users, pa.string()), pa.array(items, pa.string()), np.array(codes, np.uint8), np.array(seconds, np.int64),
        count,
    )  # fmt: skip


def id_text(value: Any, column: str) -> str:
    """An id as text without surrounding spaces; whole numbers without a decimal point.

    Raises:
        ValueError: the value is no id.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    whole = str(value).lower() if isinstance(value, bool) else str(value)
    text = whole.strip(ASCII_SPACE)
    if value is None or not text or isinstance(value, bytes | list | dict) or value != value:  # noqa: PLR0124 (not a number)
        raise ValueError(f"expected {column} to be an id; found {text[:40]!r}")
    text.encode()  # refuses half of a surrogate pair: UnicodeEncodeError is a ValueError
    return text


def _code(value: Any, params: GenericParams) -> int:
    rating = _number(value)
    if rating is not None:
        steps = (rating - params.scale.rating_min) / params.scale.step
        if 1 - NEAR <= steps <= params.scale.codes + NEAR:
            code = round(steps)
            if params.round_to_scale or abs(steps - code) <= NEAR:
                return code
    raise ValueError(f"expected {params.rating} to be one of {params.scale}; found {str(value)[:40]!r}")


def _second(value: Any, params: GenericParams) -> int:
    second: float | None = None
    if isinstance(value, str) and params.timestamp_unit == "iso":
        try:
            value = dt.datetime.fromisoformat(value.strip(ASCII_SPACE))
        except ValueError:
            value = None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
    if isinstance(value, dt.datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        second = (moment - EPOCH) // dt.timedelta(seconds=1)
    elif (number := _number(value)) is not None:
        second = math.floor(number / (1000 if params.timestamp_unit == "ms" else 1))
    if second is None or not 0 <= second < LATEST_SECOND:
        units = {"s": "unix seconds", "ms": "unix milliseconds", "iso": "an ISO date"}
        raise ValueError(
            f"expected {params.timestamp} to be {units[params.timestamp_unit]} from 1970 to 2100; found {str(value)[:40]!r}"
        )
    return int(second)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        value = value.strip(ASCII_SPACE)
        if not NUMBER.fullmatch(value):
            return None
    elif isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
