"""Publishing to a folder; the same contract over HTTP is in tests/integration/test_s3.py."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from unit.storage.artifacts.publishing_support import flip, make, published, published_file

from storage.artifacts.aliases import move_alias
from storage.artifacts.manifest import MANIFEST, canonical_json
from storage.artifacts.object_stores import open_store
from storage.artifacts.object_stores.folder import LocalFolder
from storage.artifacts.publishing import publish, pull
from storage.artifacts.store import ArtifactStore
from storage.errors import (
    ArtifactConflictError,
    ArtifactDamagedError,
    ObjectStoreError,
    StorageFullError,
    StorageUnwritableError,
    UnknownAliasError,
)


def test_publish_pull_and_pull_again(tmp_path: Path) -> None:
    artifacts, ref = make(tmp_path / "home")
    store = open_store(str(tmp_path / "published"))
    assert publish(store, artifacts, ref)
    assert not publish(store, artifacts, ref)
    alias = move_alias(store, ref, "latest", {"why": 1})
    assert alias is not None
    pulled = pull(store, "policy@latest", tmp_path / "pulled")
    assert pulled.sha256 == ref.sha256
    assert ArtifactStore(tmp_path / "pulled").find("policy", ref.digest) is not None
    assert pull(store, f"policy@{ref.digest[:8]}", tmp_path / "pulled").digest == ref.digest


class Dying(LocalFolder):
    """A store whose connection breaks after some uploads."""

    left = 1

    def put_file(self, key: str, path: Path, sha256: str) -> None:
        if self.left == 0:
            raise ObjectStoreError("gone")
        self.left -= 1
        super().put_file(key, path, sha256)


def test_publish_that_dies_is_invisible_and_goes_on_later(tmp_path: Path) -> None:
    artifacts, ref = make(tmp_path / "home")
    with pytest.raises(ObjectStoreError, match="gone"):
        publish(Dying(tmp_path / "published"), artifacts, ref)
    store = LocalFolder(tmp_path / "published")
    assert store.keys("artifacts/") != []
    with pytest.raises(UnknownAliasError):
        pull(store, f"policy@{ref.digest}", tmp_path / "pulled")
    with pytest.raises(UnknownAliasError, match="expected a published artifact; found none"):
        move_alias(store, ref, "latest", {})
    assert publish(store, artifacts, ref)
    assert pull(store, f"policy@{ref.digest}", tmp_path / "pulled").sha256 == ref.sha256


def test_published_content_never_changes(tmp_path: Path) -> None:
    store = LocalFolder(tmp_path / "published")
    publish(store, *make(tmp_path / "one"))
    before = {key: store.get(key) for key in store.keys("")}
    with pytest.raises(ArtifactConflictError, match="never change"):
        publish(store, *make(tmp_path / "two", text="others"))
    assert {key: store.get(key) for key in store.keys("")} == before


def test_of_two_reports_that_differ_in_measured_times_the_first_stands(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "published"))
    first = make(tmp_path / "a", "1.2 s", kind="report")
    second = make(tmp_path / "b", "1.3 s", kind="report")
    assert publish(store, *first)
    assert not publish(store, *second)
    alias = move_alias(store, second[1], "latest", {})
    assert alias is not None
    assert alias.sha256 == first[1].sha256
    assert pull(store, "report@latest", tmp_path / "pulled").sha256 == first[1].sha256


@pytest.mark.parametrize(
    ("text", "uploads"),
    [("weights" * 300, 1), ("rubbish" * 300, 2), ("rubbish" * 1000, 2), ("rubbish" * 2000, 2)],
    ids=["part", "damaged part", "damaged whole", "too long"],
)
def test_pull_resumes_a_partial_file_and_starts_a_damaged_one_again(tmp_path: Path, text: str, uploads: int) -> None:
    store, ref = published(Counting(tmp_path / "published"))
    partial = tmp_path / "pulled" / "policy" / f".pull.{ref.digest}.{ref.sha256[:16]}"
    partial.mkdir(parents=True)
    (partial / "a.bin").write_text(text)
    partial.with_suffix(".0123456789abcdef").mkdir()  # of other content that was published before
    assert pull(store, f"policy@{ref.digest}", tmp_path / "pulled").sha256 == ref.sha256
    assert ArtifactStore(tmp_path / "pulled").find("policy", ref.digest) is not None
    assert [Path(key).name for key in store.downloads].count("a.bin") == uploads
    assert [path.name for path in (tmp_path / "pulled" / "policy").iterdir()] == [ref.digest]


class Counting(LocalFolder):
    """A store that remembers what was downloaded."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.downloads: list[str] = []

    def download(self, key: str, path: Path, size: int) -> None:
        self.downloads.append(key)
        super().download(key, path, size)


class Truncating(LocalFolder):
    """A store that loses the end of a file without an error."""

    def put_file(self, key: str, path: Path, sha256: str) -> None:
        super().put_file(key, path, sha256)
        target = self.root / key
        target.write_bytes(target.read_bytes()[:-1])


def test_an_upload_that_lost_bytes_is_not_published(tmp_path: Path) -> None:
    artifacts, ref = make(tmp_path / "home")
    store = Truncating(tmp_path / "published")
    with pytest.raises(ObjectStoreError, match="the store has others"):
        publish(store, artifacts, ref)
    with pytest.raises(UnknownAliasError):
        pull(store, f"policy@{ref.digest}", tmp_path / "pulled")
    assert publish(LocalFolder(tmp_path / "published"), artifacts, ref)
    assert pull(store, f"policy@{ref.digest}", tmp_path / "pulled").sha256 == ref.sha256


def test_an_alias_whose_artifact_was_replaced_is_refused(tmp_path: Path) -> None:
    store, ref = published(LocalFolder(tmp_path / "published"))
    move_alias(store, ref, "latest", {})
    shutil.rmtree(tmp_path / "published" / "artifacts")
    publish(store, *make(tmp_path / "other home", text="others"))  # the same digest with other content
    with pytest.raises(ArtifactDamagedError, match="policy@latest"):
        pull(store, "policy@latest", tmp_path / "pulled")
    assert not (tmp_path / "pulled").exists()


def test_damaged_object_is_refused_and_leaves_nothing_whole(tmp_path: Path) -> None:
    store, ref = published(LocalFolder(tmp_path / "published"))
    key = next(key for key in store.keys("artifacts/") if key.endswith("a.bin"))
    path = tmp_path / "published" / key
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(ArtifactDamagedError, match="twice"):
        pull(store, f"policy@{ref.digest}", tmp_path / "pulled")
    assert ArtifactStore(tmp_path / "pulled").find("policy", ref.digest) is None
    assert list((tmp_path / "pulled" / "policy").glob("[!.]*")) == []


def test_manifest_that_leads_outside_is_refused(tmp_path: Path) -> None:
    store, ref = published(LocalFolder(tmp_path / "published"))
    path = tmp_path / "published" / "artifacts" / "policy" / ref.digest / MANIFEST
    manifest = json.loads(path.read_text())
    del manifest["checksum"]
    manifest["files"][0]["path"] = "../../../escaped"
    checksum = hashlib.sha256(canonical_json(manifest)).hexdigest()
    path.write_text(json.dumps(manifest | {"checksum": checksum}))
    with pytest.raises(ArtifactDamagedError, match="outside"):
        pull(store, f"policy@{ref.digest}", tmp_path / "pulled")
    assert not (tmp_path / "escaped").exists()


def test_unknown_alias_names_those_there_are(tmp_path: Path) -> None:
    store, ref = published(LocalFolder(tmp_path / "published"))
    move_alias(store, ref, "td3", {})
    with pytest.raises(UnknownAliasError, match=rf"Aliases: td3\. Digests: {ref.digest}"):
        pull(store, "policy@champion", tmp_path / "pulled")


def test_unwritable_targets_and_odd_uris(tmp_path: Path) -> None:
    artifacts, ref = make(tmp_path / "home")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageUnwritableError):
        publish(open_store(str(tmp_path / "file")), artifacts, ref)
    with pytest.raises(ObjectStoreError, match="found ftp"):
        open_store("ftp://host/x")
    with pytest.raises(ObjectStoreError, match="bucket of 3 letters"):
        open_store("s3://x/y")
    with pytest.raises(ObjectStoreError, match="leaves it"):
        LocalFolder(tmp_path).get("../x")


def test_pull_never_removes_a_whole_artifact(tmp_path: Path) -> None:
    store = LocalFolder(tmp_path / "published")
    publish(store, *make(tmp_path / "home", "ours"))
    other, ref = make(tmp_path / "pulled", "others")  # whole, of the same digest, with other content
    with pytest.raises(ArtifactConflictError, match="is whole and is kept"):
        pull(store, f"policy@{ref.digest}", tmp_path / "pulled")
    assert other.find("policy", ref.digest) == ref


def test_pull_replaces_a_damaged_artifact(tmp_path: Path) -> None:
    store, ref = published(LocalFolder(tmp_path / "published"))
    pull(store, f"policy@{ref.digest}", tmp_path / "pulled")
    flip(tmp_path / "pulled" / "policy" / ref.digest / "a.bin")
    pull(store, f"policy@{ref.digest}", tmp_path / "pulled")
    assert ArtifactStore(tmp_path / "pulled").find("policy", ref.digest) is not None
    assert [path.name for path in (tmp_path / "pulled" / "policy").iterdir()] == [ref.digest]


@pytest.mark.parametrize("more", [-1, 1, 64 << 20])
def test_an_object_of_another_size_than_declared_is_not_fetched(tmp_path: Path, more: int) -> None:
    store, ref = published(Counting(tmp_path / "published"))
    path = published_file(store, "b.bin")
    os.truncate(path, path.stat().st_size + more)
    with pytest.raises(ArtifactDamagedError, match="expected 7 bytes; found"):
        pull(store, f"policy@{ref.digest}", tmp_path / "pulled")
    assert [Path(key).name for key in store.downloads] == ["a.bin", "b.bin"]
    fetched = [file.stat().st_size for file in (tmp_path / "pulled").rglob("b.bin")]
    assert sum(fetched) <= 7


def test_pull_checks_the_room_before_it_downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, ref = published(Counting(tmp_path / "published"))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=7006))
    with pytest.raises(StorageFullError, match="expected room for 7,007 more bytes; found 7,006"):
        pull(store, f"policy@{ref.digest}", tmp_path / "pulled")
    assert store.downloads == []
    partial = next((tmp_path / "pulled").rglob(".pull.*"))
    (partial / "b.bin").write_text("w")
    assert pull(store, f"policy@{ref.digest}", tmp_path / "pulled").sha256 == ref.sha256
