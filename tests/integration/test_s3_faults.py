"""Publishing to S3 is failed at each request that changes what is stored: readers see old or new, and a rerun completes."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import boto3
import pytest
from crash.faults_support import OK, TYPED, child_of
from crash.test_faults import RECIPE, in_child, make_artifact, tree
from integration.conftest import Endpoint, environment
from integration.faulty_proxy import FAULTS
from tests_support import free_port, wait_for

from storage.artifacts.aliases import move_alias, read_alias
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish, pull
from storage.artifacts.store import ArtifactStore


@pytest.fixture
def proxy(moto: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a faulty proxy in front of the S3 server; boto3 talks to it."""
    port = free_port()
    script = str(Path(__file__).with_name("faulty_proxy.py"))
    process = subprocess.Popen([sys.executable, script, str(port), str(urlsplit(moto.url).port)])
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{url}/count", process)
        for name, value in environment(Endpoint(url, *moto[1:])).items():
            monkeypatch.setenv(name, value)
        yield url
    finally:
        process.kill()
        process.wait()


def asked(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310, loopback
        return str(answer.read().decode())


@pytest.mark.parametrize("every", [17, pytest.param(1, marks=pytest.mark.nightly)], ids=["some", "all"])
def test_a_published_artifact_is_old_or_new(
    every: int, proxy: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    in_child(lambda: make_artifact(tmp_path / "home"))
    artifacts = ArtifactStore(tmp_path / "home" / "artifacts")
    ref = artifacts.find("dataset", RECIPE.digest)
    assert ref is not None
    pulled, to = tmp_path / "pulled", ""

    def prepare() -> str:
        bucket = f"marquee-{secrets.token_hex(4)}"
        asked(f"{proxy}/arm?fault=none&number=0&process=0")
        boto3.Session().client("s3").create_bucket(Bucket=bucket)
        return f"s3://{bucket}/some/prefix"

    def work() -> None:
        publish(open_store(to), artifacts, ref)
        move_alias(open_store(to), ref, "latest", {})

    def read() -> None:
        pull(open_store(to), "dataset@latest", pulled)

    def run(fault: str, number: int) -> int:
        child, ours = child_of(work)
        asked(f"{proxy}/arm?fault={quote(fault)}&number={number}&process={child}")
        ours.send(b"x")
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in {OK, TYPED, -signal.SIGKILL}, f"{fault} at {number}: {code} {ours.recv(4096).decode()}"
        return code

    to = prepare()
    assert run("none", 0) == OK
    requests = int(asked(f"{proxy}/count"))
    assert requests >= 4, "two files, a manifest and an alias"
    tried = [(fault, number) for fault in FAULTS for number in range(1, requests + 1)][::every]
    ended: dict[str, Counter[str]] = {fault: Counter() for fault in FAULTS}
    for fault, number in tried:
        to = prepare()
        code = run(fault, number)
        ended[fault][{OK: "finished", TYPED: "typed error"}.get(code, "killed")] += 1
        asked(f"{proxy}/arm?fault=none&number=0&process=0")
        if read_alias(open_store(to), "dataset", "latest") is not None:
            in_child(read)
            assert tree(pulled) == tree(artifacts.root), f"{fault} at {number}"
            shutil.rmtree(pulled)
        in_child(work)
        in_child(read)
        assert tree(pulled) == tree(artifacts.root), f"{fault} at {number}"
        shutil.rmtree(pulled)
    assert ended["503 once"]["finished"] == sum(ended["503 once"].values())
    for fault, counts in ended.items():
        text = ", ".join(f"{number} {one}" for one, number in sorted(counts.items()))
        line = (
            f"publish to S3    {fault:22} {sum(counts.values()):4} of {requests} requests that change something: {text}"
        )
        request.node.user_properties.append(("boundaries", line))
