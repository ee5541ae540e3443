"""Files of lines, plain, gzipped or zipped, opened with bounds on their size and on the length of a line."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from storage.errors import MetadataError, SourceError
from storage.files import kind_of
from storage.sources.given_files import regular_file

MAX_UNPACKED_BYTES = 16 << 30
MAX_RATIO, RATIO_COUNTS_FROM = 200, 64 << 20  # real exports shrink about tenfold
MAX_LINE_BYTES = 4 << 20
MAX_BLANK_LINES = 1_000_000  # a packed file of nothing else would be read for minutes
ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # zipfile unpacks these piece by piece
BLOCK_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
JSON_LINES = (".jsonl", ".ndjson", ".json")
TABLES = (".csv", ".tsv", *JSON_LINES)


class _Capped(io.RawIOBase):
    """A stream that raises a typed error at damage, and when it unpacks to more bytes than allowed."""

    def __init__(self, inner: Any, path: Path, stored_bytes: int, error: type[SourceError]) -> None:
        self._inner, self._path, self._stored, self._error, self._bytes = inner, path, stored_bytes, error, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except (EOFError, OSError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise self._error(f"{self._path}: expected a whole file; found: {error}. Fetch it again.") from error
        self._bytes += len(data)
        refuse_bombs(self._path, self._bytes, self._stored, self._error)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


def refuse_bombs(path: Path, unpacked: int, stored: int, error: type[SourceError]) -> None:
    """Refuse a file that unpacks to more bytes than any table does.

    Args:
        path: of the file.
        unpacked: bytes so far.
        stored: bytes of the file.
        error: the type of error.

    Raises:
        SourceError: (as `error`) there are too many bytes, in all or for the size of the file.
    """
    if unpacked > RATIO_COUNTS_FROM and unpacked > min(MAX_RATIO * stored, MAX_UNPACKED_BYTES):
        raise error(
            f"{path}: expected at most {MAX_UNPACKED_BYTES >> 30} GiB and {MAX_RATIO} times the packed size; found "
            f"{unpacked} bytes or more of {stored}. This is not an archive of a table: leave it out."
        )


def open_plain(path: Path, error: type[SourceError] = MetadataError) -> tuple[str, BinaryIO]:
    """Open a file; .gz and .zip (with one table in it) are unpacked while they are read.

    Args:
        path: of the file.
        error: the type of error.

    Returns: the name of the table (the file's without .gz, or the member's in the .zip), and the stream.

    Raises:
        SourceError: (as `error`) there is no regular file, or it is empty, a web page or a broken archive; while reading: it is
            damaged or unpacks to too many bytes.
    """
    try:
        with regular_file(path, error).open("rb") as stream:
            kind = kind_of(stream.read(512))
    except OSError as problem:
        raise error(
            f"{path}: expected a readable file; found: {problem.strerror or problem}. Check the path."
        ) from None
    packed = path.suffix.lower() in (".gz", ".zip")
    if kind == "empty":
        raise error(f"{path}: expected a table; the file is empty. Fetch it again.")
    if kind == "a web page" or (kind == "an archive" and not packed):
        raise error(f"{path}: expected a {path.suffix or 'table'} file; found {kind}. Unpack or fetch it again.")
    if not packed:
        return path.name, path.open("rb")
    stored = path.stat().st_size
    if path.suffix.lower() == ".gz":
        inner: Any = gzip.open(path)  # noqa: SIM115 (closed with the stream around it)
        return path.name[:-3], io.BufferedReader(_Capped(inner, path, stored, error), 1 << 20)
    try:
        archive = zipfile.ZipFile(path)
        members = [
            member
            for member in archive.infolist()
            if member.filename.lower().endswith(TABLES)
            and not any(part.startswith((".", "__MACOSX")) for part in Path(member.filename).parts)
        ]
        if len(members) != 1:
            names = ", ".join(member.filename[:60] for member in archive.infolist()[:5])
            raise error(
                f"{path}: expected one .csv (or JSON-lines file) in the archive; found {names or 'nothing'}. Unpack it and give the file."
            )
        if members[0].compress_type not in ZIP_METHODS:
            raise error(
                f"{path}: expected a stored or deflated member; found {members[0].filename!r} packed otherwise. Unpack "
                "it and give the file."
            )
        refuse_bombs(path, members[0].file_size, stored, error)
        inner = archive.open(members[0])
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError) as problem:
        raise error(f"{path}: expected a zip archive; found something else ({problem}). Fetch it again.") from problem
    return members[0].filename, io.BufferedReader(_Capped(inner, path, stored, error), 1 << 20)


def refuse_blank_lines(path: Path, blank: int, error: type[SourceError]) -> None:
    """Refuse a file with more blank lines than a table has.

    Raises:
        SourceError: (as `error`) there are too many.
    """
    if blank > MAX_BLANK_LINES:
        raise error(
            f"{path}: expected a table; found more than {MAX_BLANK_LINES:,} blank lines. Fetch it again or leave it out."
        )


def line_blocks(stream: BinaryIO, path: Path) -> Iterator[list[bytes]]:
    """The lines of a stream without LF, in blocks of thousands; the first line without a byte-order mark.

    Raises:
        MetadataError: a line is longer than 4 MiB, or there are more than a million blank lines.
    """
    rest, number, blank = b"", 0, 0
    while chunk := stream.read(BLOCK_BYTES):
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if len(rest) > MAX_LINE_BYTES:
            raise MetadataError(
                f"{path}, line {number + len(lines) + 1}: expected at most {MAX_LINE_BYTES >> 20} MiB in a line; found "
                "more. This is not a table of lines: fetch it again or leave it out."
            )
        if not number and lines:
            lines[0] = lines[0].removeprefix(BYTE_ORDER_MARK)
        number += len(lines)
        blank += lines.count(b"") + sum(map(bytes.isspace, lines))
        refuse_blank_lines(path, blank, MetadataError)
        if lines:
            yield lines
    if rest:
        yield [rest if number else rest.removeprefix(BYTE_ORDER_MARK)]
