"""What needs no server; the rest is in tests/integration/test_downloads_http.py."""

import re
from pathlib import Path

import httpx
import pytest

from storage.errors import DownloadError
from storage.sources.movielens.downloads import KNOWN_MD5, RELEASE_NAMES, fetch_release, md5_file


def test_every_release_that_does_not_change_has_a_known_hash() -> None:
    assert set(RELEASE_NAMES) - set(KNOWN_MD5) == {"ml-latest", "ml-latest-small"}
    assert all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in KNOWN_MD5.values())
    assert len(set(KNOWN_MD5.values())) == len(KNOWN_MD5)


def test_a_whole_archive_at_hand_needs_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ml-100k.zip").write_bytes(b"whole")
    monkeypatch.setitem(KNOWN_MD5, "ml-100k", md5_file(tmp_path / "ml-100k.zip"))
    assert fetch_release("ml-100k", tmp_path, base_url="http://127.0.0.1:9") == tmp_path / "ml-100k.zip"


def test_without_a_server_the_message_names_the_other_ways_in(tmp_path: Path) -> None:
    with httpx.Client(timeout=2) as client, pytest.raises(DownloadError) as failed:
        fetch_release(
            "ml-1m", tmp_path, base_url="http://me:secret@127.0.0.1:9", client=client, attempts=2, backoff_seconds=0.01
        )
    message = str(failed.value)
    assert "http://127.0.0.1:9/ml-1m.zip: expected the file" in message
    assert "give the folder of an unpacked release or its .zip file" in message
    assert "secret" not in message
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".lock"]


def test_only_known_names_are_fetched(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="expected one of ml-latest-small, "):
        fetch_release("../ml-1m", tmp_path)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("base_url", ["ftp://127.0.0.1", "nowhere", "http://[", ""])
def test_addresses_that_are_none(tmp_path: Path, base_url: str) -> None:
    with pytest.raises(DownloadError, match="expected"):
        fetch_release("ml-latest", tmp_path, base_url=base_url, attempts=1)
