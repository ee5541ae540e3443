"""An artifact that tests of faults make, publish and pull, and what must be true of it afterwards."""

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from crash.faults_support import child_of
from unit.storage.dataset.transitions_support import arguments, some_histories

from storage.artifacts.aliases import move_alias
from storage.artifacts.manifest import Recipe
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.dataset.writer import write_transitions
from storage.drafts import sweep_drafts


def recipe_of(seed: int) -> Recipe:
    return Recipe(kind="dataset", schema_version=1, parameters={"seed": seed}, inputs={}, code="c")


RECIPE = recipe_of(1)


def free_of_leftovers(folder: Path) -> None:
    """No draft, partial or temporary file is left but what the next writer sweeps, and nobody holds a lock."""
    for draft in list(folder.rglob(".draft.*")):
        sweep_drafts(draft.parent)
    for path in folder.rglob("*"):
        if path.is_file() and path.name.endswith(".lock"):  # may stay empty; the next holder removes it
            with path.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            continue
        assert not path.name.startswith(".") and not path.name.endswith((".tmp", ".partial")), f"left behind: {path}"


def tree(folder: Path) -> dict[str, str]:
    """SHA-256 by path of the visible files below a folder, without manifests: these hold the time."""
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in files if path.name != "manifest.json"}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in sorted(names.items())
        if not any(part.startswith(".") for part in Path(name).parts)
    }


def make_artifact(home: Path, seed: int = 1) -> None:
    """A dataset of some small histories, as an artifact."""
    histories = some_histories([30, 8, 12, 40], seed)
    with ArtifactStore(home / "artifacts").create(recipe_of(seed)) as draft:
        draft.facts = write_transitions(draft.path / "transitions.h5", [histories], **arguments(histories))
        (draft.path / "items.parquet").write_bytes(b"i" * 5000)


def in_child(work: Callable[[], object]) -> None:
    """Do it in a child, so that this process starts no threads, which a fork does not copy."""
    child, ours = child_of(work)
    ours.send(b"x")
    _, status = os.waitpid(child, 0)
    assert status == 0, ours.recv(4096).decode()


def own_artifact(home: Path, seed: int = 1) -> tuple[ArtifactStore, ArtifactRef]:
    """The artifact, made in a work directory of its own."""
    in_child(lambda: make_artifact(home, seed))
    artifacts = ArtifactStore(home / "artifacts")
    ref = artifacts.find("dataset", recipe_of(seed).digest)
    assert ref is not None
    return artifacts, ref


def publish_as_latest(to: str, artifacts: ArtifactStore, ref: ArtifactRef) -> None:
    """Publish an artifact, and let the alias name it."""
    publish(open_store(to), artifacts, ref)
    move_alias(open_store(to), ref, "latest", {})
