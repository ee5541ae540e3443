"""Downloads from a real HTTP server on loopback that misbehaves on purpose."""

import hashlib
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest

from storage.errors import DownloadError, StorageFullError
from storage.sources.movielens import downloads
from storage.sources.movielens.downloads import RELEASES, fetch_release
from storage.sources.movielens.opening import open_release


def archive(seed: int) -> bytes:
    """About 300 kB that do not shrink."""
    ratings = b"".join(hashlib.sha256(b"%d-%d" % (seed, block)).digest() for block in range(10_000))
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("ml-20m/ratings.csv", ratings)
        opened.writestr("ml-20m/movies.csv", b"movieId,title,genres\n")
    return buffer.getvalue()


BODY, OTHER = archive(1), archive(2)
HALF = len(BODY) // 2


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass
class Server:
    """What it serves and how it misbehaves; `faults` are used up one per request of the archive."""

    body: bytes = BODY
    md5_text: str | None = None
    etag: str | None = '"one"'
    modified: float | None = None
    ranges: bool = True
    length: bool = True
    faults: list[Callable[[BaseHTTPRequestHandler], bool]] = field(default_factory=list)
    seen: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        if handler.path.endswith(".md5"):
            text = self.md5_text or f"MD5 ({handler.path[1:-4]}) = {md5(self.body)}\n"
            send(handler, 200 if text != "absent" else 404, text.encode())
            return
        self.seen.append({name.lower(): value for name, value in handler.headers.items()})
        if self.faults and self.faults.pop(0)(handler):
            return
        self.serve(handler)

    def serve(self, handler: BaseHTTPRequestHandler, until: int | None = None) -> None:
        """The file or the range that was asked for; cut where `until` says."""
        date = formatdate(self.modified, usegmt=True) if self.modified else None
        headers = {"ETag": self.etag, "Last-Modified": date}
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        body, status = self.body, 200
        if asked and self.ranges and condition in (self.etag, date):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            status, body = 206, body[start:]
            headers["Content-Range"] = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
        if self.length:
            headers["Content-Length"] = str(len(body))
        start_answer(handler, status, headers)
        handler.wfile.write(body[:until])


def start_answer(handler: BaseHTTPRequestHandler, status: int, headers: dict[str, Any]) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        if value is not None:
            handler.send_header(name, value)
    handler.end_headers()


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> bool:
    start_answer(
        handler,
        status,
        {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Length": len(body)},
    )
    handler.wfile.write(body)
    return True


def failing(status: int, **headers: str) -> Callable[[BaseHTTPRequestHandler], bool]:
    return lambda handler: send(handler, status, b"no", **headers)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)
            self.close_connection = True

        def log_message(self, *arguments: Any) -> None:
            pass

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RELEASES, "ml-20m", md5(BODY))


def fetch(
    server: Server, into: Path, name: Any = "ml-20m", attempts: int = 4, timeout: float = 30, **more: Any
) -> Path:
    with httpx.Client(timeout=timeout, follow_redirects=True) as client:
        return fetch_release(
            name, into, base_url=server.url, client=client, attempts=attempts, backoff_seconds=0.01, **more
        )


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def cut(server: Server, after: int) -> Callable[[BaseHTTPRequestHandler], bool]:
    """Send so many bytes of what was promised, then close."""

    def act(handler: BaseHTTPRequestHandler) -> bool:
        server.serve(handler, until=after)
        return True

    return act


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


def test_a_stalled_connection_times_out_and_is_resumed(server: Server, tmp_path: Path) -> None:
    over = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> bool:
        server.serve(handler, until=HALF)
        handler.wfile.flush()
        over.wait(30)
        return True

    server.faults = [stall]
    try:
        assert fetch(server, tmp_path, timeout=2.5).read_bytes() == BODY
    finally:
        over.set()
    assert server.seen[1]["range"] == f"bytes={HALF}-"


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


def test_two_at_once_fetch_it_once(server: Server, tmp_path: Path) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(fetch(server, tmp_path))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "ml-20m.zip"] * 3
    assert len(server.seen) == 1


def test_a_disk_too_small_is_told_before_it_fills(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(StorageFullError, match="found 1,000"):
        fetch(server, tmp_path)
    assert not (tmp_path / "ml-20m.zip").exists()
