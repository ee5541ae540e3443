"""The S3 policies in docs/security.md allow what publishing and pulling do, and no more."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests_support import REPOSITORY

from storage.artifacts.aliases import move_alias, read_alias
from storage.artifacts.manifest import Recipe
from storage.artifacts.object_stores import s3 as s3_module
from storage.artifacts.object_stores.s3 import S3, open_uri
from storage.artifacts.publishing import publish, pull
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.errors import MarqueeError

PUBLISHER, READER = re.findall(r"^```json\n(.*?)^```", (REPOSITORY / "docs/security.md").read_text(), re.M | re.S)
RIGHTS = {  # that an operation needs, as AWS documents it
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
}


class Requests:
    """The requests of a store's client: operations with what they are about, as a policy names it."""

    def __init__(self, store: S3) -> None:
        self.made: set[tuple[str, str]] = set()
        store.client.meta.events.register("provide-client-params.s3", self.note)

    def note(self, params: dict[str, Any], model: Any, **_: object) -> None:
        name = "/".join(part for part in (params["Bucket"], params.get("Key")) if part)
        self.made.add((model.name, f"arn:aws:s3:::{name}"))

    @property
    def rights(self) -> set[str]:
        return {RIGHTS[operation] for operation, _ in self.made}


def statements(policy: str, uri: str) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Pairs of a right and the resources that a policy gives it on."""
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    for one in json.loads(policy.replace("BUCKET", bucket).replace("PREFIX", prefix))["Statement"]:
        assert one["Effect"] == "Allow"
        assert one.keys() == {"Effect", "Action", "Resource"}
        for action in one["Action"]:
            yield action, re.compile(re.escape(one["Resource"]).replace(r"\*", ".*"))


def allows(policy: str, uri: str, operation: str, resource: str) -> bool:
    given = statements(policy, uri)
    return any(action == RIGHTS[operation] and where.fullmatch(resource) for action, where in given)


@pytest.fixture
def made(tmp_path: Path) -> tuple[ArtifactStore, ArtifactRef]:
    """An artifact with a file that goes up in parts, and one that does not."""
    store = ArtifactStore(tmp_path / "home")
    with store.create(Recipe(kind="policy", schema_version=1, parameters={}, inputs={}, code="c")) as draft:
        (draft.path / "large.bin").write_bytes(b"weights" * 1_700_000)
        (draft.path / "small.json").write_text("{}")
    return store, draft.committed


def test_policies_fit_the_requests(
    s3: tuple[object, str], made: tuple[ArtifactStore, ArtifactRef], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_module, "SINGLE_PUT_BYTES", 1_000_000)
    (artifacts, ref), uri = made, s3[1]
    publisher = open_uri(uri)
    writes = Requests(publisher)

    def fail_the_second_part(params: dict[str, Any], **_: object) -> None:
        if params["PartNumber"] == 2:
            raise ClientError({"Error": {"Code": "InternalError"}}, "UploadPart")

    events = publisher.client.meta.events
    events.register("provide-client-params.s3.UploadPart", fail_the_second_part)
    with pytest.raises(MarqueeError):
        publish(publisher, artifacts, ref)
    events.unregister("provide-client-params.s3.UploadPart", fail_the_second_part)
    assert publish(publisher, artifacts, ref)
    assert not publish(publisher, artifacts, ref)
    move_alias(publisher, ref, "latest", {})
    publisher.keys("artifacts/")

    reader = open_uri(uri)
    reads = Requests(reader)
    read_alias(reader, "policy", "absent")
    partial = tmp_path / "pulled" / "policy" / f".pull.{ref.digest}.{ref.sha256[:16]}"
    partial.mkdir(parents=True)
    (partial / "large.bin").write_bytes(b"weights" * 100)
    pull(reader, "policy@latest", tmp_path / "pulled")
    with pytest.raises(MarqueeError, match="latest"):  # the error lists the aliases that there are
        pull(reader, "policy@nothing", tmp_path / "pulled")

    for policy, requests in ((PUBLISHER, writes), (READER, reads)):
        refused = [one for one in requests.made if not allows(policy, uri, *one)]
        assert not refused
        assert {action for action, _ in statements(policy, uri)} == requests.rights
    assert {operation for operation, _ in writes.made | reads.made} == RIGHTS.keys()


def test_every_request_of_the_code_is_made_in_that_test() -> None:
    """A new kind of request must be added there, and to the policies."""
    rooms = ("storage/artifacts", "tasks", "flows")
    code = "".join(path.read_text() for room in rooms for path in (REPOSITORY / room).rglob("*.py"))
    named = set(re.findall(r'(?:_call\(|get_paginator\()\s*"(\w+)"', code))
    named |= set(
        re.findall(r"\bclient\.((?!get_paginator)(?:put|get|head|delete|copy|list|upload|download|create)_\w+)\(", code)
    )
    assert named == {"put_object", "get_object", "head_object", "list_objects_v2", "upload_file"}
