"""What is damaged here is not published; what is damaged in the store is mended by publishing again."""

from pathlib import Path

import pytest
from unit.storage.artifacts.publishing_support import flip, make, published, published_file

from storage.artifacts.aliases import move_alias
from storage.artifacts.manifest import MANIFEST
from storage.artifacts.object_stores import DOCUMENT_BYTES
from storage.artifacts.object_stores.folder import LocalFolder
from storage.artifacts.publishing import publish, pull
from storage.errors import ArtifactDamagedError, ObjectStoreError


@pytest.mark.parametrize("was_published", [False, True])
def test_a_flipped_bit_on_this_machine_is_not_published(tmp_path: Path, was_published: bool) -> None:
    artifacts, ref = make(tmp_path / "home")
    store = LocalFolder(tmp_path / "published")
    if was_published:
        publish(store, artifacts, ref)
    before = store.keys("")
    flip(artifacts.folder("policy", ref.digest) / "a.bin")
    with pytest.raises(ArtifactDamagedError, match=r"a\.bin: expected SHA-256 .* Nothing was published. Run the flow"):
        publish(store, artifacts, ref)
    assert store.keys("") == before


@pytest.mark.parametrize("name", ["a.bin", "b.bin", MANIFEST])
@pytest.mark.parametrize("damage", ["flipped", "torn", "removed", "huge"])
def test_publishing_again_mends_what_is_damaged_in_the_store(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    artifacts, ref = make(tmp_path / "home")
    store = LocalFolder(tmp_path / "published")
    publish(store, artifacts, ref)
    move_alias(store, ref, "latest", {})
    before = {key: store.get(key) for key in store.keys("artifacts/")}
    path = published_file(store, name)
    if damage == "flipped":
        flip(path)
    elif damage == "torn":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "huge":
        path.write_bytes(bytes(DOCUMENT_BYTES + 2))
    else:
        path.unlink()
    with pytest.raises((ArtifactDamagedError, ObjectStoreError)):
        pull(store, "policy@latest", tmp_path / "damaged")
    assert publish(store, artifacts, ref) == (name == MANIFEST)
    assert {key: store.get(key) for key in store.keys("artifacts/")} == before
    assert ("damaged" in caplog.text) or (damage, name) == ("removed", MANIFEST)
    assert move_alias(store, ref, "latest", {}) is not None
    assert pull(store, "policy@latest", tmp_path / "pulled").sha256 == ref.sha256


@pytest.mark.parametrize("content", [b"", b'{"kind": "policy"', b"<html>", b"other name"])
def test_publishing_again_mends_a_damaged_alias(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    store, ref = published(LocalFolder(tmp_path / "published"))
    for name in ("latest", "champion"):
        move_alias(store, ref, name, {})
    path = store.root / "aliases" / "policy" / "latest.json"
    path.write_bytes(content if content != b"other name" else path.with_name("champion.json").read_bytes())
    with pytest.raises(ArtifactDamagedError, match="Publish again: that replaces it"):
        pull(store, "policy@latest", tmp_path / "pulled")
    assert move_alias(store, ref, "latest", {}, lambda present: present is None) is not None
    assert "The published document is damaged and will be replaced" in caplog.text
    assert pull(store, "policy@latest", tmp_path / "pulled").sha256 == ref.sha256


def test_a_damaged_report_is_replaced_by_one_with_other_times(tmp_path: Path) -> None:
    """Its own bytes are nowhere else: without this nobody could publish this report again."""
    store = LocalFolder(tmp_path / "published")
    artifacts, first = make(tmp_path / "one", "1.2 s", kind="report")
    publish(store, artifacts, first)
    move_alias(store, first, "latest", {})
    flip(published_file(store, "a.bin"))
    artifacts, second = make(tmp_path / "two", "1.3 s", kind="report")
    assert publish(store, artifacts, second)
    assert move_alias(store, second, "latest", {}, lambda _: False) is not None
    assert pull(store, "report@latest", tmp_path / "pulled").sha256 == second.sha256
