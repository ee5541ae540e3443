import errno
from pathlib import Path

import pytest

from storage.errors import DatasetError, StorageFullError, StorageUnwritableError
from storage.files import kind_of, replacing, sha256_file, write_bytes_atomically, writing_to


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_bytes_atomically(path, b"old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    write_bytes_atomically(path, b"new")
    assert [entry.read_bytes() for entry in path.parent.iterdir()] == [b"new"]


def test_the_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_file(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "empty"), (b"\xef\xbb\xbf \n", "empty"), (b"\n<!DOCTYPE html>", "a web page"), (b"<html>", "a web page"),
        (b"PK\x03\x04", "an archive"), (b"\x1f\x8b", "an archive"), (b"userId,movieId", None), (b"{}", None),
    ],
)  # fmt: skip
def test_the_first_bytes_show_what_is_not_a_table(head: bytes, kind: str | None) -> None:
    assert kind_of(head) == kind


@pytest.mark.parametrize(
    ("error", "typed"),
    [
        (OSError(errno.ENOSPC, "full"), StorageFullError),
        (OSError("unable to write (errno = 122, quota)"), StorageFullError),  # as HDF5 reports EDQUOT
        (PermissionError(errno.EACCES, "denied"), StorageUnwritableError),
        (FileExistsError(errno.EEXIST, "a file"), StorageUnwritableError),
        (ConnectionResetError(errno.ECONNRESET, "reset"), ConnectionResetError),
    ],
)
def test_errors_of_writing_say_what_to_do(tmp_path: Path, error: OSError, typed: type[Exception]) -> None:
    with pytest.raises(typed) as raised, writing_to(tmp_path):
        raise error
    assert typed is ConnectionResetError or "MARQUEE_HOME" in str(raised.value)


def test_a_typed_error_that_quotes_a_number_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="errno = 28"), writing_to(tmp_path):
        raise DatasetError("expected a whole file; found errno = 28. Make it again.")


def test_a_full_disk_is_known_by_the_text_of_a_librarys_error(tmp_path: Path) -> None:
    with pytest.raises(StorageFullError, match="No space left"), writing_to(tmp_path):
        raise ValueError("Error while serializing: I/O error: No space left on device (os error 28)")
