"""Small artifacts to publish."""

from pathlib import Path
from typing import TypeVar

from storage.artifacts.manifest import Recipe
from storage.artifacts.object_stores.folder import LocalFolder
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactRef, ArtifactStore

Store = TypeVar("Store", bound=LocalFolder)


def make(root: Path, text: str = "weights", seed: int = 0, kind: str = "policy") -> tuple[ArtifactStore, ArtifactRef]:
    store = ArtifactStore(root)
    recipe = Recipe(kind=kind, schema_version=1, parameters={"seed": seed}, inputs={}, code="c")
    with store.create(recipe) as draft:
        (draft.path / "a.bin").write_text(text * 1000)
        (draft.path / "b.bin").write_text(text)
    return store, draft.committed


def published(store: Store) -> tuple[Store, ArtifactRef]:
    """The store with an artifact, which was made beside it."""
    artifacts, ref = make(store.root.parent / "home")
    publish(store, artifacts, ref)
    return store, ref


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def published_file(store: LocalFolder, name: str) -> Path:
    return store.root / next(key for key in store.keys("artifacts/") if key.endswith(name))
