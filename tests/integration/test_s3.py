"""Publishing and pulling over HTTP, against every S3 server there is here."""

import hashlib
import os
from pathlib import Path

import boto3
import pytest
from processes_support import MOVER, moves, start

from storage.artifacts.aliases import move_alias, read_alias
from storage.artifacts.manifest import MANIFEST, Recipe
from storage.artifacts.object_stores import open_store
from storage.artifacts.object_stores import s3 as s3_module
from storage.artifacts.object_stores.s3 import S3
from storage.artifacts.object_stores.s3_probe import PROBE
from storage.artifacts.publishing import publish, pull
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.errors import (
    ArtifactConflictError,
    ArtifactDamagedError,
    ObjectStoreCredentialsError,
    ObjectStoreError,
    UnknownAliasError,
    UnsupportedObjectStoreError,
)
from storage.files import sha256_file


def make(root: Path, seed: int = 0, text: str = "weights") -> tuple[ArtifactStore, ArtifactRef]:
    store = ArtifactStore(root)
    recipe = Recipe(kind="policy", schema_version=1, parameters={"seed": seed}, inputs={}, code="c")
    with store.create(recipe) as draft:
        (draft.path / "large.bin").write_bytes(text.encode() * 2_000_000)
        (draft.path / "small.json").write_text("{}")
    return store, draft.committed


def test_publish_pull_resume_and_refuse(s3: tuple[object, str], tmp_path: Path) -> None:
    uri = s3[1]
    artifacts, ref = make(tmp_path / "home")
    store = open_store(uri)
    assert publish(store, artifacts, ref)
    assert not publish(store, artifacts, ref)
    assert store.keys("artifacts/")[-1].endswith(MANIFEST)
    move_alias(store, ref, "latest", {})
    partial = tmp_path / "pulled" / "policy" / f".pull.{ref.digest}.{ref.sha256[:16]}"
    partial.mkdir(parents=True)
    (partial / "large.bin").write_bytes(b"weights" * 1_000_000)
    assert pull(store, "policy@latest", tmp_path / "pulled").sha256 == ref.sha256

    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    key = next(key for key in store.keys("artifacts/") if key.endswith("small.json"))
    boto3.Session().client("s3").put_object(Bucket=bucket, Key=f"{prefix}/{key}", Body=b"[]")
    with pytest.raises(ArtifactDamagedError, match=r"small.json: expected SHA-256"):
        pull(store, "policy@latest", tmp_path / "again")
    assert not publish(open_store(uri), artifacts, ref)
    assert pull(store, "policy@latest", tmp_path / "again").sha256 == ref.sha256
    for name in (f"artifacts/policy/{ref.digest}/{MANIFEST}", "aliases/policy/latest.json"):
        boto3.Session().client("s3").put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=b'{"torn')
    assert publish(open_store(uri), artifacts, ref)
    move_alias(store, ref, "latest", {})
    assert pull(store, "policy@latest", tmp_path / "once more").sha256 == ref.sha256
    with pytest.raises(UnknownAliasError, match="Aliases: latest"):
        pull(store, "policy@champion", tmp_path / "again")
    with pytest.raises(ArtifactConflictError):
        publish(store, *make(tmp_path / "other", text="others!"))


def test_a_published_page_is_shown_by_browsers(s3: tuple[object, str], tmp_path: Path) -> None:
    uri = s3[1]
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    for name, kind in {"report.html": "text/html", "report.json": "application/json", "d.h5": "application/"}.items():
        (tmp_path / name).write_text("<!doctype html><title>Report</title>")
        open_store(uri).put_file(f"typed/{name}", tmp_path / name, sha256_file(tmp_path / name))
        head = boto3.Session().client("s3").head_object(Bucket=bucket, Key=f"{prefix}/typed/{name}")
        assert head["ContentType"].startswith(kind)


def test_conditional_writes(s3: tuple[object, str]) -> None:
    store = open_store(s3[1])
    assert store.compare_and_swap("a", b"1", None)
    assert not store.compare_and_swap("a", b"2", None)
    found = store.get("a")
    assert found is not None
    assert found[0] == b"1"
    assert not store.compare_and_swap("a", b"3", "0" * 32)
    assert store.compare_and_swap("a", b"3", found[1])
    assert not store.compare_and_swap("a", b"4", found[1])
    assert not store.compare_and_swap("absent", b"4", found[1])
    assert store.get("absent") is None
    assert store.holds("a", 1, hashlib.sha256(b"3").hexdigest())
    assert [key for key in store.keys("") if "probe" in key] == [PROBE]


def test_no_move_of_an_alias_is_lost_between_processes(s3: tuple[object, str], tmp_path: Path) -> None:
    """The moves that three processes print, each with what the alias named before, lead from the last to the first."""
    store = open_store(s3[1])
    refs = []
    for seed in range(9):
        artifacts, ref = make(tmp_path / "home", seed, text="w")
        publish(store, artifacts, ref)
        refs.append(ref)
    movers = [start(MOVER, s3[1], *(ref.model_dump_json() for ref in refs[place::3])) for place in range(3)]
    before = moves(movers)
    found = read_alias(store, "policy", "latest")
    assert found is not None
    chain = [found[0].digest]
    while (earlier := before[chain[-1]]) != "None":
        assert earlier not in chain
        chain.append(earlier)
    assert len(chain) == len(refs), "two moves replaced the same state: one was lost"


@pytest.mark.nightly
def test_wrong_secret_is_a_typed_error_that_tells_no_secret(
    radosgw: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "wrong-and-secret-0123456789"
    monkeypatch.setenv("AWS_ENDPOINT_URL", radosgw.url)  # type: ignore[attr-defined]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", radosgw.access_key)  # type: ignore[attr-defined]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(ObjectStoreCredentialsError, match="SignatureDoesNotMatch") as caught:
        publish(open_store("s3://marquee-bucket/x"), *make(tmp_path))
    text = str(caught.value) + caplog.text
    assert secret not in text
    assert radosgw.access_key not in text  # type: ignore[attr-defined]
    assert caught.value.__suppress_context__


def test_missing_bucket_credentials_and_server(
    s3: tuple[object, str], nobody: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ObjectStoreError, match="NoSuchBucket"):
        publish(open_store("s3://marquee-absent"), *make(tmp_path / "one"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ObjectStoreCredentialsError, match="AWS_ACCESS_KEY_ID"):
        open_store(s3[1]).keys("")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", nobody)
    with pytest.raises(ObjectStoreError, match="expected an S3 endpoint that answers"):
        open_store(s3[1]).keys("")


def test_a_store_that_ignores_conditions_is_refused(moto: object, s3: tuple[object, str]) -> None:
    store = open_store(s3[1])
    assert isinstance(store, S3)

    # A real request, from which a careless server would drop the headers.
    def drop(request: object, **_: object) -> None:
        for header in ("If-Match", "If-None-Match"):
            if header in request.headers:  # type: ignore[attr-defined]
                del request.headers[header]  # type: ignore[attr-defined]

    store.client.meta.events.register("before-sign.s3.PutObject", drop)
    with pytest.raises(UnsupportedObjectStoreError, match="ignores them"):
        store.compare_and_swap("a", b"1", None)
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in "".join(store.keys(""))


def test_a_large_file_goes_up_in_parts(s3: tuple[object, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "SINGLE_PUT_BYTES", 1 << 20)
    store = open_store(s3[1])
    artifacts, ref = make(tmp_path / "home")
    assert publish(store, artifacts, ref)
    key = next(key for key in store.keys("artifacts/") if key.endswith("large.bin"))
    bucket, _, prefix = s3[1].removeprefix("s3://").partition("/")
    assert "-2" in boto3.Session().client("s3").head_object(Bucket=bucket, Key=f"{prefix}/{key}")["ETag"]
    assert not publish(open_store(s3[1]), artifacts, ref)
    assert pull(store, f"policy@{ref.digest}", tmp_path / "pulled").sha256 == ref.sha256
