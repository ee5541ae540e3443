"""Downloads over HTTP: whole, resumed after an interruption, and shared by several readers."""

import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from integration.download_server import (
    BODY,
    HALF,
    OTHER,
    Server,
    cut,
    failing,
    fetch,
    files,
    md5,
    send,
    serving_release,
)

from storage.errors import DownloadError
from storage.sources.movielens.downloads import RELEASES
from storage.sources.movielens.opening import open_release


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setitem(RELEASES, "ml-20m", md5(BODY))
    with serving_release() as running:
        yield running


def test_a_whole_download_and_its_second_use(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    path = fetch(server, tmp_path / "new", progress=lambda done, total: told.append((done, total)))
    assert path == tmp_path / "new" / "ml-20m.zip"
    assert path.read_bytes() == BODY
    assert told[-1] == (len(BODY), len(BODY))
    assert files(path.parent) == ["ml-20m.zip", "ml-20m.zip.md5"]
    assert fetch(server, tmp_path / "new") == path
    assert len(server.seen) == 1


def test_a_name_becomes_a_release(server: Server, nobody: str, tmp_path: Path) -> None:
    release = open_release("ml-20m", tmp_path, base_url=server.url)
    assert (release.name, release.kind) == ("ml-20m", "csv")
    assert open_release("ml-20m", tmp_path, base_url=nobody) == release


def test_a_cut_connection_is_resumed_in_the_same_call(server: Server, tmp_path: Path) -> None:
    server.faults = [cut(server, HALF), cut(server, 1000), cut(server, 1000), cut(server, 1000), cut(server, 1000)]
    assert fetch(server, tmp_path, attempts=2).read_bytes() == BODY
    assert server.seen[0].get("range") is None
    assert server.seen[1]["range"] == f"bytes={HALF}-"
    assert server.seen[1]["if-range"] == '"one"'
    assert server.seen[2]["range"] == f"bytes={HALF + 1000}-"
    assert len(server.seen) == 6


def test_a_cut_connection_is_resumed_by_the_next_call(server: Server, tmp_path: Path) -> None:
    server.faults = [cut(server, HALF), failing(503)]
    with pytest.raises(DownloadError, match=f"{HALF:,} bytes are kept: run again to continue"):
        fetch(server, tmp_path, attempts=1)
    assert files(tmp_path) == ["ml-20m.zip.part", "ml-20m.zip.part.json"]
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.seen[-1]["range"] == f"bytes={HALF}-"
    assert files(tmp_path) == ["ml-20m.zip", "ml-20m.zip.md5"]


def test_the_date_of_change_stands_in_for_an_absent_or_weak_etag(server: Server, tmp_path: Path) -> None:
    server.etag, server.modified = 'W/"one"', 1_500_000_000.0
    server.faults = [cut(server, HALF)]
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.seen[1]["if-range"] == formatdate(server.modified, usegmt=True)


@pytest.mark.parametrize("trait", ["no ranges", "no validator"])
def test_a_server_that_cannot_resume_starts_over(server: Server, tmp_path: Path, trait: str) -> None:
    server.ranges = trait != "no ranges"
    server.etag = None if trait == "no validator" else server.etag
    server.faults = [cut(server, HALF)]
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert ("range" in server.seen[1]) == (trait == "no ranges")


def test_a_file_that_changed_in_between_is_fetched_from_the_start(server: Server, tmp_path: Path) -> None:
    server.body, server.etag = OTHER, '"old"'
    server.faults = [cut(server, HALF)]
    with pytest.raises(DownloadError):
        fetch(server, tmp_path, attempts=1)
    server.body, server.etag = BODY, '"new"'
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.seen[-1]["if-range"] == '"old"'


def test_an_answer_for_another_range_starts_over(server: Server, tmp_path: Path) -> None:
    server.faults = [
        cut(server, HALF),
        lambda handler: send(handler, 206, BODY[:10], Content_Range=f"bytes 0-9/{len(BODY)}"),
        lambda handler: send(handler, 206, BODY[:10]),
    ]
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert "range" not in server.seen[-1]


def test_a_finished_part_is_checked_without_asking(server: Server, tmp_path: Path) -> None:
    server.faults = [cut(server, HALF)]
    with pytest.raises(DownloadError):
        fetch(server, tmp_path, attempts=1)
    (tmp_path / "ml-20m.zip.part").write_bytes(BODY)
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert len(server.seen) == 1


def test_a_range_that_cannot_be_given_starts_over(server: Server, tmp_path: Path) -> None:
    server.faults = [cut(server, HALF), failing(416)]
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert "range" not in server.seen[-1]


def test_a_stalled_connection_times_out_and_is_resumed(server: Server, tmp_path: Path) -> None:
    over = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> bool:
        server.serve(handler, until=HALF)
        handler.wfile.flush()
        over.wait(600)
        return True

    server.faults = [stall]
    try:
        assert fetch(server, tmp_path, timeout=2.5).read_bytes() == BODY
    finally:
        over.set()
    assert server.seen[1]["range"] == f"bytes={HALF}-"


def test_two_at_once_fetch_it_once(server: Server, tmp_path: Path) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(fetch(server, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "ml-20m.zip"] * 3
    assert len(server.seen) == 1
