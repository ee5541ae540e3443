"""Artifacts that were made elsewhere: they are used beside own ones and kept apart from them."""

import shutil
from pathlib import Path

from storage.artifacts.manifest import MANIFEST, Depth, Manifest, read_manifest, verify_files
from storage.artifacts.object_stores import ObjectStore
from storage.artifacts.publishing import pull, resolve
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.drafts import draft_beside
from storage.errors import ArtifactError
from storage.files import fsync_path, replace_folder, writing_to


def fetch(store: ObjectStore, spec: str, own: ArtifactStore) -> ArtifactRef:
    """Pull `kind@alias` or `kind@digest` into the store of what comes from there, unless the same content was made here.

    Args:
        store: where it is published.
        spec: kind, and alias or digest.
        own: the artifacts made here.

    Raises:
        UnknownAliasError, ArtifactDamagedError: see `storage.artifacts.publishing.pull`.
    """
    manifest = resolve(store, spec)
    if (made := own.same_as(manifest)) is not None:
        return made
    return pull(store, f"{manifest.recipe.kind}@{manifest.digest}", own.foreign(store.uri).root, replaces=True)


def take_in(folder: Path, kind: str, own: ArtifactStore) -> ArtifactRef:
    """Copy an artifact from a folder, such as a pulled one, into the store of what comes from that folder.

    It is not copied again, and not copied at all if the same content was made here.

    Args:
        folder: of the artifact.
        kind: that it must have.
        own: the artifacts made here.

    Raises:
        ArtifactError: there is no artifact, or it has another kind.
        ArtifactDamagedError: its bytes are not the ones its manifest names, or a file is a symbolic link.
    """
    manifest = read_manifest(folder)
    if manifest.recipe.kind != kind:
        raise ArtifactError(
            f"{folder}: expected an artifact of kind {kind}; found {manifest.recipe.kind}. Give another folder."
        )
    if (made := own.same_as(manifest)) is not None:
        return made
    store = own.foreign(folder.absolute().as_uri())
    if (known := store.same_as(manifest)) is not None:
        return known
    final = store.folder(kind, manifest.digest)
    with writing_to(store.root), draft_beside(final) as copy:
        copy_artifact(folder, manifest, copy)
        replace_folder(copy, final)
    return store.ref(manifest)


def copy_artifact(folder: Path, manifest: Manifest, target: Path) -> None:
    """Copy the files that a manifest names, and no others, into a new folder; verify the copy and flush it to the disk.

    Raises:
        ArtifactDamagedError: a file is missing, is a symbolic link, or is not the one that the manifest names.
    """
    verify_files(folder, manifest, Depth.SIZES)
    for entry in manifest.files:
        (target / entry.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / entry.path, target / entry.path, follow_symlinks=False)
    (target / MANIFEST).write_bytes(manifest.to_json())
    verify_files(target, manifest)
    for path in (*target.rglob("*"), target):
        fsync_path(path)
