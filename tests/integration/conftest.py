"""S3 servers over HTTP on loopback."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import boto3
import pytest
from tests_support import free_port, wait_for


class Endpoint(NamedTuple):
    """One server and credentials that it accepts."""

    url: str
    access_key: str
    secret_key: str


@pytest.fixture(scope="session")
def moto() -> Iterator[Endpoint]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/moto-api/", server)
        yield Endpoint(f"http://127.0.0.1:{port}", "motokey", "motosecret-" + secrets.token_hex(8))
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="session")
def radosgw() -> Iterator[Endpoint]:
    if shutil.which("radosgw") is None or shutil.which("ceph-mon") is None:
        pytest.skip(
            "radosgw is not installed: apt-get install radosgw ceph-mon ceph-osd ceph-mgr ceph-common uuid-runtime"
        )
    # Unix socket paths are at most 107 bytes long: not below pytest's folder.
    folder = Path(f"/tmp/marquee-rgw-{secrets.token_hex(4)}")  # noqa: S108
    endpoint = Endpoint("", "marquee-" + secrets.token_hex(4), "secret-" + secrets.token_hex(12))
    script = str(Path(__file__).with_name("radosgw.sh"))
    ports = [free_port() for _ in range(3)]
    try:
        done = subprocess.run(
            [script, str(folder), endpoint.access_key, endpoint.secret_key, *map(str, ports)],
            capture_output=True, text=True, check=False, timeout=180,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        yield endpoint._replace(url=f"http://127.0.0.1:{ports[0]}")
    finally:
        pids = (folder / "pids").read_text().split() if (folder / "pids").exists() else []
        for pid in reversed(pids):
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                continue
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["moto", pytest.param("radosgw", marks=pytest.mark.radosgw)])
def s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[Endpoint, str]:
    """An endpoint, set in the environment as boto3 reads it, and the URI of a fresh bucket there."""
    endpoint: Endpoint = request.getfixturevalue(request.param)
    for name, value in environment(endpoint).items():
        monkeypatch.setenv(name, value)
    bucket = f"marquee-{secrets.token_hex(4)}"
    boto3.Session().client("s3").create_bucket(Bucket=bucket)
    return endpoint, f"s3://{bucket}/some/prefix"


def environment(endpoint: Endpoint) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_ACCESS_KEY_ID": endpoint.access_key,
        "AWS_SECRET_ACCESS_KEY": endpoint.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }
