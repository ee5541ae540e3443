"""Downloads over HTTP that fail or arrive damaged: what is tried again, and what is reported."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.download_server import BODY, OTHER, Server, failing, fetch, files, md5, serving_release

from storage.errors import DownloadError, StorageFullError
from storage.sources.movielens import downloads
from storage.sources.movielens.downloads import RELEASES


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setitem(RELEASES, "ml-20m", md5(BODY))
    with serving_release() as running:
        yield running


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_passing_errors_are_tried_again(server: Server, tmp_path: Path, status: int) -> None:
    server.faults = [failing(status), failing(status, Retry_After="0")]
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert len(server.seen) == 3


def test_retry_after_is_waited_for(server: Server, tmp_path: Path) -> None:
    server.faults = [failing(503, Retry_After="1")]
    begun = time.monotonic()
    fetch(server, tmp_path)
    assert time.monotonic() - begun >= 1


def test_a_server_that_stays_down(server: Server, tmp_path: Path) -> None:
    server.faults = [failing(503)] * 9
    with pytest.raises(DownloadError, match=r"found: answered 503\. Without internet, give the folder"):
        fetch(server, tmp_path)
    assert len(server.seen) == 4
    assert files(tmp_path) == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_final_errors_are_not_tried_again(server: Server, tmp_path: Path, status: int) -> None:
    server.faults = [failing(status)] * 3
    with pytest.raises(DownloadError, match=f"found HTTP {status}.*or its .zip file"):
        fetch(server, tmp_path)
    assert len(server.seen) == 1
    assert files(tmp_path) == []


@pytest.mark.parametrize("whole", [True, False])
def test_wrong_bytes_never_get_the_final_name(server: Server, tmp_path: Path, whole: bool) -> None:
    server.body = OTHER
    server.length = whole
    with pytest.raises(DownloadError) as failed:
        fetch(server, tmp_path)
    assert f"expected MD5 {md5(BODY)}; found {md5(OTHER)}" in str(failed.value)
    assert "run again" in str(failed.value)
    assert files(tmp_path) == []


def test_a_web_page_instead_of_the_archive_is_called_one(server: Server, tmp_path: Path) -> None:
    server.body = b"<!DOCTYPE html><html>Please log in to this network</html>"
    with pytest.raises(DownloadError, match="a web page"):
        fetch(server, tmp_path)


def test_a_damaged_archive_at_hand_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "ml-20m.zip").write_bytes(BODY[:-5])
    assert fetch(server, tmp_path).read_bytes() == BODY


def test_releases_that_change_are_checked_against_the_hash_beside_them(server: Server, tmp_path: Path) -> None:
    path = fetch(server, tmp_path, "ml-latest-small")
    assert path.read_bytes() == BODY
    server.body = OTHER
    assert fetch(server, tmp_path, "ml-latest-small").read_bytes() == OTHER
    server.md5_text = f"{md5(OTHER).upper()}  ml-latest-small.zip\n"
    fetch(server, tmp_path, "ml-latest-small")
    assert len(server.seen) == 2
    server.md5_text = "absent"  # what was fetched and checked before is used on
    assert fetch(server, tmp_path, "ml-latest-small").read_bytes() == OTHER
    path.write_bytes(b"damaged")
    with pytest.raises(DownloadError, match="found HTTP 404"):
        fetch(server, tmp_path, "ml-latest-small")
    server.md5_text = "<html>"
    with pytest.raises(DownloadError, match="expected an MD5; found '<html>'"):
        fetch(server, tmp_path / "empty", "ml-latest")


def test_a_disk_too_small_is_told_before_it_fills(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(StorageFullError, match="found 1,000"):
        fetch(server, tmp_path)
    assert not (tmp_path / "ml-20m.zip").exists()
