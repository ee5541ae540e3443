"""A small S3 server that misbehaves by script, and a store on it."""

from collections.abc import Iterator

import pytest
from small_s3 import SmallS3, serving_s3
from unit.storage.artifacts.object_stores.s3_support import SECRETS

from storage.artifacts.object_stores.s3 import S3


@pytest.fixture(scope="module")
def running() -> Iterator[SmallS3]:
    with serving_s3() as server:
        yield server


@pytest.fixture
def server(running: SmallS3, monkeypatch: pytest.MonkeyPatch) -> SmallS3:
    """The server, empty and well-behaved, in the environment as boto3 reads it."""
    running.reset()
    for name, value in {
        "AWS_ENDPOINT_URL": running.url,
        "AWS_ACCESS_KEY_ID": SECRETS[0],
        "AWS_SECRET_ACCESS_KEY": SECRETS[1],
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("time.sleep", lambda _: None)  # the pauses between tries
    return running


@pytest.fixture
def store(server: SmallS3) -> S3:
    return S3("bucket", "some/prefix")
