"""Publishing to S3 is failed at each request that changes what is stored: readers see old or new, and a rerun completes."""

import os
import secrets
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import boto3
import pytest
from crash.artifacts_support import in_child, own_artifact, publish_as_latest, tree
from crash.faults_support import OK, TYPED, child_of
from integration.conftest import Endpoint, environment
from integration.faulty_proxy import FAULTS
from integration.proxy_support import asked, proxied

from storage.artifacts.aliases import read_alias
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import pull


@pytest.fixture
def proxy(moto: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a faulty proxy in front of the S3 server; boto3 talks to it."""
    with proxied(urlsplit(moto.url).port) as url:
        for name, value in environment(Endpoint(url, *moto[1:])).items():
            monkeypatch.setenv(name, value)
        yield url


@pytest.mark.parametrize("every", [41, pytest.param(1, marks=pytest.mark.nightly)], ids=["some", "all"])
def test_a_published_artifact_is_old_or_new(
    every: int, proxy: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    artifacts, ref = own_artifact(tmp_path / "home")
    pulled, to = tmp_path / "pulled", ""

    def prepare() -> str:
        bucket = f"marquee-{secrets.token_hex(4)}"
        asked(f"{proxy}/arm?fault=none&number=0&process=0")
        boto3.Session().client("s3").create_bucket(Bucket=bucket)
        return f"s3://{bucket}/some/prefix"

    def work() -> None:
        publish_as_latest(to, artifacts, ref)

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
