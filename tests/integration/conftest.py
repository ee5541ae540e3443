"""S3 servers over HTTP on loopback, and a Prefect server for tasks that run in this process."""

import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import boto3
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_SERVER_ANALYTICS_ENABLED, temporary_settings
from tests_support import Shared, free_port, required, wait_for


class Endpoint(NamedTuple):
    """One server and credentials that it accepts."""

    url: str
    access_key: str
    secret_key: str


@pytest.fixture(scope="session")
def moto(shared: Shared) -> Endpoint:
    def start(folder: Path) -> Endpoint:
        port = free_port()
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        wait_for(f"http://127.0.0.1:{port}/moto-api/", shared.server(command, folder / "log"))
        return Endpoint(f"http://127.0.0.1:{port}", "motokey", "motosecret-" + secrets.token_hex(8))

    return Endpoint(*shared.once("moto", start))


@pytest.fixture(scope="session")
def radosgw(shared: Shared) -> Endpoint:
    required("radosgw")

    def start(folder: Path) -> Endpoint:
        keys = "marquee-" + secrets.token_hex(4), "secret-" + secrets.token_hex(12)
        ports = [free_port() for _ in range(3)]
        script = str(Path(__file__).with_name("radosgw.sh"))
        log = folder / "start.log"
        code = shared.server([script, str(folder), *keys, *map(str, ports)], log).wait(600)
        assert code == 0, log.read_text()
        return Endpoint(f"http://127.0.0.1:{ports[0]}", *keys)

    return Endpoint(*shared.once("radosgw", start))


@pytest.fixture(params=["moto", pytest.param("radosgw", marks=(pytest.mark.radosgw, pytest.mark.nightly))])
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


@pytest.fixture
def prefect_here(prefect_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process run tasks against the shared Prefect server, in a work directory of this test."""
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path))
    settings = (PREFECT_HOME, PREFECT_API_URL, PREFECT_SERVER_ANALYTICS_ENABLED)
    with temporary_settings({setting: prefect_env[setting.name] for setting in settings}):
        yield
