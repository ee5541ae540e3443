"""`marquee fsck` of a bucket: damage in it is found and mended."""

from pathlib import Path

import boto3
import pytest
from unit.storage.artifacts.publishing_support import make

from storage.artifacts.aliases import move_alias
from storage.artifacts.inspection import inspect_published
from storage.artifacts.manifest import MANIFEST
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish, pull


@pytest.mark.parametrize("name", ["a.bin", MANIFEST])
def test_a_bucket_is_inspected_and_repaired(s3: tuple[object, str], tmp_path: Path, name: str) -> None:
    own, ref = make(tmp_path / "home" / "artifacts")
    store = open_store(s3[1])
    publish(store, own, ref)
    move_alias(store, ref, "champion", {})
    found = inspect_published(store, own, repair=False)
    assert (found.findings, found.whole) == ([], {"policy": 1, "alias": 1})

    bucket, _, prefix = s3[1].removeprefix("s3://").partition("/")
    key = next(key for key in store.keys("artifacts/") if key.endswith(name))
    client = boto3.Session().client("s3")
    data = bytearray(client.get_object(Bucket=bucket, Key=f"{prefix}/{key}")["Body"].read())
    data[len(data) // 2] ^= 1
    client.put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=bytes(data))

    assert f"artifacts/policy/{ref.digest}" in inspect_published(store, own, repair=False).damaged[0].where
    assert inspect_published(store, own, repair=True).damaged == []
    assert inspect_published(store, own, repair=False).findings == []
    assert pull(store, "policy@champion", tmp_path / "pulled").sha256 == ref.sha256
