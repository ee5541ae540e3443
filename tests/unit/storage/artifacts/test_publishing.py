"""Publishing to a folder; the same contract over HTTP is in tests/integration/test_s3.py."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from storage.artifacts.manifest import MANIFEST, FileEntry, Recipe, content_sha256
from storage.artifacts.object_stores import open_store
from storage.artifacts.object_stores.folder import LocalFolder
from storage.artifacts.publishing import Alias, move_alias, publish, pull, read_alias
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.errors import (
    AliasMovedError,
    ArtifactConflictError,
    ArtifactDamagedError,
    ObjectStoreError,
    StorageUnwritableError,
    UnknownAliasError,
)


def make(root: Path, text: str = "weights", seed: int = 0, kind: str = "policy") -> tuple[ArtifactStore, ArtifactRef]:
    store = ArtifactStore(root)
    recipe = Recipe(kind=kind, schema_version=1, parameters={"seed": seed}, inputs={}, code="c")
    with store.create(recipe) as draft:
        (draft.path / "a.bin").write_text(text * 1000)
        (draft.path / "b.bin").write_text(text)
    return store, draft.committed


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

    def put_file(self, key: str, path: Path) -> None:
        if self.left == 0:
            raise ObjectStoreError("gone")
        self.left -= 1
        super().put_file(key, path)


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
    artifacts, ref = make(tmp_path / "home")
    store = Counting(tmp_path / "published")
    publish(store, artifacts, ref)
    partial = tmp_path / "pulled" / "policy" / f".pull.{ref.digest}.{ref.sha256[:16]}"
    partial.mkdir(parents=True)
    (partial / "a.bin").write_text(text)
    assert pull(store, f"policy@{ref.digest}", tmp_path / "pulled").sha256 == ref.sha256
    assert ArtifactStore(tmp_path / "pulled").find("policy", ref.digest) is not None
    assert [Path(key).name for key in store.downloads].count("a.bin") == uploads


class Counting(LocalFolder):
    """A store that remembers what was downloaded."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.downloads: list[str] = []

    def download(self, key: str, path: Path) -> None:
        self.downloads.append(key)
        super().download(key, path)


class Truncating(LocalFolder):
    """A store that loses the end of a file without an error."""

    def put_file(self, key: str, path: Path) -> None:
        super().put_file(key, path)
        target = self.root / key
        target.write_bytes(target.read_bytes()[:-1])


def test_an_upload_that_lost_bytes_is_not_published(tmp_path: Path) -> None:
    artifacts, ref = make(tmp_path / "home")
    store = Truncating(tmp_path / "published")
    with pytest.raises(ObjectStoreError, match="sent 7000 bytes; the store has 6999"):
        publish(store, artifacts, ref)
    with pytest.raises(UnknownAliasError):
        pull(store, f"policy@{ref.digest}", tmp_path / "pulled")
    assert publish(LocalFolder(tmp_path / "published"), artifacts, ref)
    assert pull(store, f"policy@{ref.digest}", tmp_path / "pulled").sha256 == ref.sha256


def test_an_alias_whose_artifact_was_replaced_is_refused(tmp_path: Path) -> None:
    artifacts, ref = make(tmp_path / "home")
    store = LocalFolder(tmp_path / "published")
    publish(store, artifacts, ref)
    move_alias(store, ref, "latest", {})
    shutil.rmtree(tmp_path / "published" / "artifacts")
    publish(store, *make(tmp_path / "other home", text="others"))  # the same digest with other content
    with pytest.raises(ArtifactDamagedError, match="policy@latest"):
        pull(store, "policy@latest", tmp_path / "pulled")
    assert not (tmp_path / "pulled").exists()


def test_damaged_object_is_refused_and_leaves_nothing_whole(tmp_path: Path) -> None:
    artifacts, ref = make(tmp_path / "home")
    store = LocalFolder(tmp_path / "published")
    publish(store, artifacts, ref)
    key = next(key for key in store.keys("artifacts/") if key.endswith("a.bin"))
    path = tmp_path / "published" / key
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(ArtifactDamagedError, match="twice"):
        pull(store, f"policy@{ref.digest}", tmp_path / "pulled")
    assert ArtifactStore(tmp_path / "pulled").find("policy", ref.digest) is None
    assert list((tmp_path / "pulled" / "policy").glob("[!.]*")) == []


def test_manifest_that_leads_outside_is_refused(tmp_path: Path) -> None:
    artifacts, ref = make(tmp_path / "home")
    store = LocalFolder(tmp_path / "published")
    publish(store, artifacts, ref)
    path = tmp_path / "published" / "artifacts" / "policy" / ref.digest / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["files"][0]["path"] = "../../../escaped"
    manifest["sha256"] = content_sha256([FileEntry.model_validate(entry) for entry in manifest["files"]])
    path.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactDamagedError, match="outside"):
        pull(store, f"policy@{ref.digest}", tmp_path / "pulled")
    assert not (tmp_path / "escaped").exists()


def test_unknown_alias_names_those_there_are(tmp_path: Path) -> None:
    artifacts, ref = make(tmp_path / "home")
    store = LocalFolder(tmp_path / "published")
    publish(store, artifacts, ref)
    move_alias(store, ref, "td3", {})
    with pytest.raises(UnknownAliasError, match=rf"Aliases: td3\. Digests: {ref.digest}"):
        pull(store, "policy@champion", tmp_path / "pulled")


def test_alias_moves_by_compare_and_swap(tmp_path: Path) -> None:
    store = LocalFolder(tmp_path / "published")
    refs = []
    for seed in range(4):
        artifacts, ref = make(tmp_path / "home", seed=seed)
        publish(store, artifacts, ref)
        refs.append(ref)
    threads = [threading.Thread(target=move_alias, args=(store, ref, "latest", {})) for ref in refs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_alias(store, "policy", "latest")
    assert found is not None
    assert found[0].digest in {ref.digest for ref in refs}
    assert found[0].previous in {ref.digest for ref in refs} - {found[0].digest}

    def refuse(present: Alias | None) -> bool:
        assert present is not None
        return False

    other = next(ref for ref in refs if ref.digest != found[0].digest)
    assert move_alias(store, other, "latest", {}, refuse) is None
    assert read_alias(store, "policy", "latest") == found


class Contested(LocalFolder):
    """A store in which others move an alias just before each of our first writes."""

    def __init__(self, root: Path, others: list[ArtifactRef]) -> None:
        super().__init__(root)
        self.others = others

    def compare_and_swap(self, key: str, data: bytes, etag: str | None) -> bool:
        if self.others:
            move_alias(LocalFolder(self.root), self.others.pop(), "champion", {})
        return super().compare_and_swap(key, data, etag)


@pytest.fixture
def policies(tmp_path: Path) -> list[ArtifactRef]:
    """Three published policies."""
    refs = []
    for seed in range(3):
        artifacts, ref = make(tmp_path / "home", seed=seed)
        publish(LocalFolder(tmp_path / "published"), artifacts, ref)
        refs.append(ref)
    return refs


def test_an_alias_that_others_moved_meanwhile_is_read_again(tmp_path: Path, policies: list[ArtifactRef]) -> None:
    ours, first, second = policies
    seen: list[str | None] = []

    def should_move(present: Alias | None) -> bool:
        seen.append(present.digest if present else None)
        return True

    store = Contested(tmp_path / "published", [second, first])
    moved = move_alias(store, ours, "champion", {}, should_move)
    assert seen == [None, first.digest, second.digest]
    assert moved is not None
    assert moved.previous == second.digest
    found = read_alias(store, "policy", "champion")
    assert found is not None
    assert found[0] == moved


def test_an_alias_that_others_made_better_meanwhile_stays(tmp_path: Path, policies: list[ArtifactRef]) -> None:
    ours, better, _ = policies
    store = Contested(tmp_path / "published", [better])
    assert move_alias(store, ours, "champion", {}, lambda present: present is None) is None
    found = read_alias(store, "policy", "champion")
    assert found is not None
    assert found[0].digest == better.digest


def test_an_alias_that_cannot_be_moved_is_reported(
    tmp_path: Path, policies: list[ArtifactRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalFolder, "compare_and_swap", lambda *_: False)
    with pytest.raises(AliasMovedError, match="20 times"):
        move_alias(LocalFolder(tmp_path / "published"), policies[0], "champion", {})


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
