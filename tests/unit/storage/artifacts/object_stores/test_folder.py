"""A folder as an object store."""

import fcntl
from pathlib import Path

import pytest

from storage.artifacts.object_stores import STORES, open_store
from storage.artifacts.object_stores.folder import LocalFolder
from storage.drafts import draft_beside
from storage.errors import ObjectStoreError


class Watched(LocalFolder):
    """A store that notes whether the lock is held while the present value is read."""

    locked: bool | None = None

    def get(self, key: str) -> tuple[bytes, str] | None:
        with (self.root / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.locked = False
            except BlockingIOError:
                self.locked = True
        return super().get(key)


def test_compare_and_swap_holds_the_lock(tmp_path: Path) -> None:
    store = Watched(tmp_path)
    assert store.compare_and_swap("a", b"1", None)
    assert store.locked is True
    assert store.get("a") is not None
    assert store.locked is False


def test_conditional_writes_keep_their_conditions(tmp_path: Path) -> None:
    store = LocalFolder(tmp_path)
    assert store.compare_and_swap("a", b"1", None)
    assert not store.compare_and_swap("a", b"2", None)
    found = store.get("a")
    assert found is not None
    assert found[0] == b"1"
    assert not store.compare_and_swap("a", b"2", "0" * 64)
    assert not store.compare_and_swap("b", b"2", found[1])
    assert store.compare_and_swap("a", b"2", found[1])
    assert not store.compare_and_swap("a", b"3", found[1])
    assert store.keys("") == ["a"]


@pytest.mark.parametrize("uri", ["{}/a b", "file://{}/a%20b"])
def test_a_path_and_a_uri_open_the_same_folder(tmp_path: Path, uri: str) -> None:
    store = open_store(uri.format(tmp_path))
    assert isinstance(store, LocalFolder)
    assert store.root == tmp_path / "a b"


def test_an_unknown_scheme_names_those_there_are() -> None:
    known = ", ".join(f"{scheme}://" for scheme in STORES if scheme)
    with pytest.raises(ObjectStoreError, match=f"expected a path or one of {known}; found gs://"):
        open_store("gs://bucket/x")
    assert "gs" not in STORES


def test_an_unfinished_object_is_not_listed(tmp_path: Path) -> None:
    store = LocalFolder(tmp_path)
    with draft_beside(tmp_path / "a" / "key") as draft:
        draft.write_bytes(b"half")
        assert store.keys("") == []
