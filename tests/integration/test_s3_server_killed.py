"""A real S3 server is killed amid publishing and pulling, and started again: readers see old or new, and a rerun completes."""

import os
import secrets
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import boto3
import pytest
from crash.artifacts_support import free_of_leftovers, in_child, own_artifact, publish_as_latest, tree
from crash.faults_support import OK, TYPED, child_of
from integration.conftest import Endpoint, environment
from integration.faulty_proxy import SERVER_KILLS
from integration.proxy_support import asked, proxied
from tests_support import Shared, free_port, wait_for

from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import pull

pytestmark = [pytest.mark.nightly, pytest.mark.kills_server]
# When the server is started again, and how many times fewer boundaries are tried so: without a server a command tries for
# ten seconds.
RESTARTS = {"at once": 1, "when the command has ended": 2}


class Gateway:
    """A gateway of one's own to the shared cluster, which keeps the objects while the gateway is dead.

    Args:
        cluster: the folder of the shared cluster.
        folder: for logs.
        port: a free one.
    """

    def __init__(self, cluster: Path, folder: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        files = {option: str(folder / option) for option in ("admin-socket", "pid-file", "log-file")}
        self.command = [
            "radosgw", "-f", "-c", str(cluster / "ceph.conf"), "-n", "client.rgw",
            f"--rgw-frontends=beast endpoint=127.0.0.1:{port}",
            "--rgw-cache-enabled=false",  # a killed gateway would be waited for when it has to be told of changes
            *(f"--{option}={path}" for option, path in files.items()),
        ]  # fmt: skip
        self.log = folder / "output"

    def start(self) -> None:
        with self.log.open("a") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        wait_for(self.url, self.process)

    def start_again(self) -> None:
        """Wait until it has been killed, and start it on the same port."""
        self.process.wait(timeout=300)
        self.start()


class Killable(NamedTuple):
    """A gateway, the URL of the proxy that kills it, and the URI of a bucket; boto3 talks to the proxy."""

    gateway: Gateway
    proxy: str
    bucket: str


@pytest.fixture
def server(radosgw: Endpoint, shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Killable]:
    (tmp_path / "gateway").mkdir()
    gateway = Gateway(shared.folder / "radosgw", tmp_path / "gateway", free_port())
    gateway.start()
    try:
        with proxied(urlsplit(gateway.url).port) as proxy:
            for name, value in environment(Endpoint(proxy, *radosgw[1:])).items():
                monkeypatch.setenv(name, value)
            bucket = f"marquee-{secrets.token_hex(4)}"
            boto3.Session().client("s3").create_bucket(Bucket=bucket)
            yield Killable(gateway, proxy, f"s3://{bucket}")
    finally:
        gateway.process.kill()
        gateway.process.wait()


def run(server: Killable, work: Callable[[], object], fault: str, number: int, restart: str) -> str:
    """Do the work in a child while the server is killed at a request; start it again, and return how the work ended."""
    child, ours = child_of(work)
    pid = server.gateway.process.pid
    asked(f"{server.proxy}/arm?fault={quote(fault)}&number={number}&process={pid}&reads=1")
    ours.send(b"x")
    if restart == "at once":
        server.gateway.start_again()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if restart != "at once":
        server.gateway.start_again()
    assert code in {OK, TYPED}, f"{fault} at {number}, again {restart}: {code} {ours.recv(4096).decode()}"
    return "finished" if code == OK else "typed error"


def try_all(
    server: Killable,
    prepare: Callable[[], object],
    work: Callable[[], object],
    check: Callable[[str], None],
    every: int,
) -> list[str]:
    """Kill the server at each `every`-th of the requests that the work sends; returns lines of a table.

    Args:
        server: is killed, and started again while the work goes on or when it has ended.
        prepare: called before each run.
        work: done in a child.
        check: called with how the work ended; fails if readers see neither old nor new, or if a rerun does not complete.
        every: no multiple of 3, the number of faults, so that each is tried.
    """
    prepare()
    asked(f"{server.proxy}/arm?reads=1")
    in_child(work)
    requests = int(asked(f"{server.proxy}/count"))
    lines = []
    for restart, fewer in RESTARTS.items():
        places = [(fault, number) for number in range(1, requests + 1) for fault in SERVER_KILLS][:: every * fewer]
        ended: Counter[str] = Counter()
        for fault, number in places:
            prepare()
            found = run(server, work, fault, number, restart)
            ended[found] += 1
            check(found)
        lines.append(f"started again {restart}: {len(places)} kills at {requests} requests: {dict(ended)}")
        waited = 2 * ended["finished"] > len(places)
        assert waited if restart == "at once" else set(ended) == {"typed error"}, lines[-1]
    return lines


def test_a_published_artifact_is_old_or_new(server: Killable, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    old, new = own_artifact(tmp_path / "old", seed=2), own_artifact(tmp_path / "new")
    pulled, to = tmp_path / "pulled", ""

    def prepare() -> None:
        nonlocal to
        to = f"{server.bucket}/{secrets.token_hex(4)}"
        in_child(lambda: publish_as_latest(to, *old))

    def work() -> None:
        publish_as_latest(to, *new)

    def seen() -> dict[str, str]:
        shutil.rmtree(pulled, ignore_errors=True)
        in_child(lambda: pull(open_store(to), "dataset@latest", pulled))
        return tree(pulled)

    prepare()
    work()
    usual = open_store(to).keys("")

    def check(ended: str) -> None:
        assert seen() in [tree(new[0].root)] + [tree(old[0].root)] * (ended != "finished")
        in_child(work)
        assert seen() == tree(new[0].root)
        assert open_store(to).keys("") == usual, "something is left"

    for line in try_all(server, prepare, work, check, every=7):
        request.node.user_properties.append(("boundaries", f"publish, S3 server killed, {line}"))


def test_a_pulled_artifact_is_whole_or_absent(server: Killable, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    artifacts, ref = own_artifact(tmp_path / "home")
    in_child(lambda: publish_as_latest(server.bucket, artifacts, ref))
    to = tmp_path / "pulled"

    def work() -> None:
        pull(open_store(server.bucket), "dataset@latest", to)

    def check(ended: str) -> None:
        assert tree(to) in [tree(artifacts.root)] + [{}] * (ended != "finished")
        in_child(work)
        assert tree(to) == tree(artifacts.root)
        free_of_leftovers(to)

    for line in try_all(server, lambda: shutil.rmtree(to, ignore_errors=True), work, check, every=1):
        request.node.user_properties.append(("boundaries", f"pull, S3 server killed, {line}"))
