"""`marquee serve` as a process: it follows its alias under load, waits for a store that is down, and ends gently.

Other commands end if the store is down.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import boto3
import httpx
import pytest
from integration.conftest import Endpoint, environment
from tests_support import REPOSITORY, free_port, wait_for
from typer.testing import CliRunner
from unit.serving.serving_support import make_policy, publish_policy

from flows.cli import app

QUESTION = {"history": [{"movie_id": 12, "rating": 5}, {"movie_id": 20, "rating": 1.5}], "k": 5}


@contextmanager
def serving(home: Path, *arguments: str, **env: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The URL of a server of its own process that looks at its alias every 0.2 s."""
    port = free_port()
    words = ["serve", "--port", str(port), "--refresh-seconds", "0.2", *arguments]
    command = [sys.executable, "-m", "flows.cli", *words]
    variables = os.environ | {"MARQUEE_HOME": str(home), "PYTHONPATH": str(REPOSITORY)} | env
    with subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/healthz", process)
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()


def digest_of(url: str) -> str:
    return str(httpx.get(f"{url}/policies", timeout=60).json()["policies"][0]["digest"])


def wait_until_served(url: str, digest: str) -> None:
    for _ in range(600):
        if digest_of(url) == digest:
            return
        time.sleep(0.1)
    raise TimeoutError(digest)


def test_reloads_under_load_drop_no_request_and_a_damaged_policy_changes_nothing(
    s3: tuple[Endpoint, str], tmp_path: Path
) -> None:
    _, uri = s3
    maker = tmp_path / "maker"
    publish_policy(maker, make_policy(maker), uri)
    statuses: list[int] = []
    digests: set[str] = set()
    stop = threading.Event()
    with serving(tmp_path / "home", "--from", uri) as (url, process), ThreadPoolExecutor(4) as threads:

        def ask() -> None:
            with httpx.Client(base_url=url, timeout=60) as client:
                while not stop.is_set():
                    answer = client.post("/recommend", json=QUESTION)
                    statuses.append(answer.status_code)
                    digests.add(answer.json()["digest"])

        load = [threads.submit(ask) for _ in range(4)]
        made = [make_policy(maker, seed=seed) for seed in (1, 2)]
        for ref in made:
            publish_policy(maker, ref, uri)
            wait_until_served(url, ref.digest)
        invalid = make_policy(maker, seed=3, spoil=lambda folder: (folder / "policy.safetensors").write_bytes(b"x"))
        publish_policy(maker, invalid, uri)
        for _ in range(600):
            (policy,) = httpx.get(f"{url}/policies", timeout=60).json()["policies"]
            if policy["last_error"]:
                break
            time.sleep(0.1)
        assert "PolicyError" in policy["last_error"]
        assert policy["digest"] == made[-1].digest
        stop.set()
        for one in load:
            one.result()
        assert httpx.get(f"{url}/readyz", timeout=60).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM  # uvicorn ends by the signal once it has answered
    assert set(statuses) == {200}
    assert len(digests) == 3


def test_a_store_that_is_down_at_the_start_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    endpoint = Endpoint(f"http://127.0.0.1:{port}", "key", "secret")
    for name, value in environment(endpoint).items():
        monkeypatch.setenv(name, value)
    with serving(tmp_path / "home", "--from", "s3://bucket/prefix") as (url, _):
        answer = httpx.post(f"{url}/recommend", json=QUESTION, timeout=60)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "ObjectStoreError" in answer.json()["message"]
        assert httpx.get(f"{url}/readyz", timeout=60).status_code == 503
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as store:
            try:
                wait_for(f"{endpoint.url}/moto-api/", store)
                boto3.Session().client("s3").create_bucket(Bucket="bucket")
                publish_policy(tmp_path / "maker", make_policy(tmp_path / "maker"), "s3://bucket/prefix")
                for _ in range(600):
                    if httpx.get(f"{url}/readyz", timeout=60).status_code == 200:
                        break
                    time.sleep(0.1)
                assert httpx.post(f"{url}/recommend", json=QUESTION, timeout=60).status_code == 200
            finally:
                store.kill()


def test_a_policy_that_does_not_exist_ends_the_server_with_the_reason(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flows.cli", "serve", "--from", str(tmp_path), "--port", "0"]
    done = subprocess.run(
        command,
        env=os.environ | {"MARQUEE_HOME": str(tmp_path / "home"), "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 1
    assert "UnknownAliasError" in done.stderr
    assert "expected policy@champion" in done.stderr


@pytest.mark.parametrize("command", ["app", "recommend"])
def test_a_store_that_is_down_at_the_start_ends_other_commands(
    command: str, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(Endpoint(nobody, "key", "hidden")).items():
        monkeypatch.setenv(name, value)
    port = ["--port", str(free_port())] if command == "app" else []
    done = CliRunner().invoke(app, [command, "--from", "s3://bucket/prefix", *port])
    assert done.exit_code == 1
    assert "ObjectStoreError" in done.stderr
    assert "expected an S3 endpoint that answers" in done.stderr
    assert "hidden" not in done.stderr
