"""What needs no server; the rest is in tests/integration/test_downloads_http.py and test_downloads_refused.py."""

import re
from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest

from storage.errors import DownloadError
from storage.sources.movielens import downloads
from storage.sources.movielens.downloads import RELEASES, fetch_release, md5_file


def test_every_release_that_does_not_change_has_a_known_hash() -> None:
    known = {name: md5 for name, md5 in RELEASES.items() if md5 is not None}
    assert set(RELEASES) - set(known) == {"ml-latest", "ml-latest-small"}
    assert all(re.fullmatch("[0-9a-f]{32}", md5) for md5 in known.values())
    assert len(set(known.values())) == len(known)


def test_a_whole_archive_at_hand_needs_no_server(tmp_path: Path, nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ml-100k.zip").write_bytes(b"whole")
    monkeypatch.setitem(RELEASES, "ml-100k", md5_file(tmp_path / "ml-100k.zip"))
    assert fetch_release("ml-100k", tmp_path, base_url=nobody) == tmp_path / "ml-100k.zip"


def test_without_a_server_the_message_names_the_other_ways_in(tmp_path: Path, nobody: str) -> None:
    with httpx.Client(timeout=30) as client, pytest.raises(DownloadError) as failed:
        url = nobody.replace("//", "//me:secret@")
        fetch_release("ml-1m", tmp_path, base_url=url, client=client, attempts=2, backoff_seconds=0.01)
    message = str(failed.value)
    assert f"{nobody}/ml-1m.zip: expected the file" in message
    assert "give the folder of an unpacked release or its .zip file" in message
    assert "secret" not in message
    assert list(tmp_path.iterdir()) == []


def test_only_known_names_are_fetched(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="expected one of ml-latest-small, "):
        fetch_release("../ml-1m", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("base_url", ["ftp://127.0.0.1", "nowhere", "http://[", ""])
def test_addresses_that_are_none(tmp_path: Path, base_url: str) -> None:
    with pytest.raises(DownloadError, match="expected"):
        fetch_release("ml-latest", tmp_path, base_url=base_url, attempts=1)


def test_waits_grow_and_last_at_least_as_long_as_the_server_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(downloads, "time", Mock(sleep=waits.append))
    monkeypatch.setattr(downloads, "random", Mock(uniform=lambda low, high: (low + high) / 2))
    headers = iter([{}, {}, {"Retry-After": "30"}, {}, {"Retry-After": "900"}, {}])
    transport = httpx.MockTransport(lambda _: httpx.Response(503, headers=next(headers)))
    with httpx.Client(transport=transport) as client, pytest.raises(DownloadError, match="answered 503"):
        fetch_release("ml-1m", tmp_path, client=client, attempts=6, backoff_seconds=2)
    assert waits == [2, 4, 30, 16, 60]
