"""Publish artifacts to an object store, and pull them.

Files are uploaded to `artifacts/<kind>/<digest>/<content>/<file>`, and then the manifest to
`artifacts/<kind>/<digest>/manifest.json`, which makes the artifact visible. Every pulled file is verified against the manifest.
"""

import logging
import shutil
from pathlib import Path

from storage.artifacts.aliases import PREVIOUS, Alias, Earlier, previous_champion, read_alias
from storage.artifacts.manifest import MANIFEST, MEASURED, FileEntry, Manifest, verify_files
from storage.artifacts.object_stores import ObjectStore
from storage.artifacts.published import file_key, manifest_key, published_manifest, replaceable_manifest
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.errors import (
    ArtifactConflictError,
    ArtifactDamagedError,
    ObjectStoreError,
    StorageFullError,
    UnknownAliasError,
)
from storage.files import fsync_path, locked, replace_folder, sha256_file, writing_to

logger = logging.getLogger("marquee.publishing")


def publish(store: ObjectStore, artifacts: ArtifactStore, ref: ArtifactRef) -> bool:
    """Upload an artifact and make what is damaged there whole; True if it was not published yet.

    Every byte is verified: of the files that are sent, and of those that the store has. A damaged manifest or file is
    replaced, with a warning. Of a kind with measured times the first one published is kept, while its files are whole.

    Raises:
        ArtifactDamagedError: the artifact is damaged on this machine; nothing is published.
        ArtifactConflictError: the same digest is published with other content.
        ObjectStoreError: the store refused, or has other bytes than were sent.
    """
    folder, manifest = _verified(artifacts, ref)
    published, etag = replaceable_manifest(store, ref.kind, ref.digest)
    if published is not None and published.sha256 != manifest.sha256:
        _require_measured(store, ref)
        if all(_is_whole(store, published, entry) for entry in published.files):
            return False
        logger.warning("%s: the published %s/%s is damaged; replacing it.", store.uri, ref.kind, ref.digest)
        published = None
    for entry in manifest.files:
        _upload(store, manifest, entry, folder, is_mended=published is not None)
    if published is not None:
        return False
    if store.compare_and_swap(manifest_key(ref.kind, ref.digest), manifest.to_json(), etag):
        return True
    first = published_manifest(store, ref.kind, ref.digest)  # another process was quicker
    if first is None:
        raise ObjectStoreError(
            f"{store.uri}: expected the manifest of {ref.kind}/{ref.digest} that another process wrote; found none. Run again."
        )
    if first.sha256 != manifest.sha256:
        _require_measured(store, ref)
    return False


def _verified(artifacts: ArtifactStore, ref: ArtifactRef) -> tuple[Path, Manifest]:
    """The folder and the manifest of an artifact whose every byte was verified just now."""
    try:
        folder = artifacts.open(ref)
        manifest = artifacts.manifest(ref)
        verify_files(folder, manifest)
    except ArtifactDamagedError as error:
        raise ArtifactDamagedError(
            f"{error} Nothing was published. Run the flow that makes this {ref.kind} again: it replaces what is damaged."
        ) from error
    return folder, manifest


def _require_measured(store: ObjectStore, ref: ArtifactRef) -> None:
    """Refuse a second content under one digest, unless artifacts of this kind hold measured times."""
    if ref.kind not in MEASURED:
        raise ArtifactConflictError(
            f"{store.uri}: {ref.kind}/{ref.digest} is published with other content than this machine made. "
            "Published artifacts never change: pull that one, or find out why this machine made other bytes."
        )


def _is_whole(store: ObjectStore, manifest: Manifest, entry: FileEntry) -> bool:
    return store.holds(file_key(manifest, entry.path), entry.size_bytes, entry.sha256)


def _upload(store: ObjectStore, manifest: Manifest, entry: FileEntry, folder: Path, is_mended: bool) -> None:
    """Send one file unless the store has it whole."""
    if _is_whole(store, manifest, entry):
        return
    key = file_key(manifest, entry.path)
    if is_mended:
        logger.warning("%s/%s: the published bytes are damaged or missing; replacing them.", store.uri, key)
    store.put_file(key, folder / entry.path, entry.sha256)
    if not _is_whole(store, manifest, entry):
        raise ObjectStoreError(
            f"{store.uri}/{key}: expected the bytes that were sent; the store has others. Run again."
        )


def pull(store: ObjectStore, spec: str, to: Path, *, replaces: bool = False) -> ArtifactRef:
    """Download `kind@alias` or `kind@digest` to `to/<kind>/<digest>/` and verify every hash; partial files are resumed.

    The artifact is a foreign one: `to` is no folder of own artifacts. Of several processes that pull the same artifact into
    one folder, one downloads it and the others wait.

    Args:
        store: where it is published.
        spec: kind, and alias or digest.
        to: the folder in which `<kind>/<digest>/` is made.
        replaces: whether a whole artifact of that digest with other content is replaced.

    Raises:
        UnknownAliasError: there is no such alias or digest; the message lists those there are.
        ArtifactDamagedError: an object's bytes are not those of the manifest, after two downloads.
        ArtifactConflictError: the folder has another whole artifact of that digest, and `replaces` is not set.
        StorageFullError: the disk has no room for the artifact.
    """
    manifest = resolve(store, spec)
    target = ArtifactStore(to, origin=store.uri)
    if (present := _present(target, manifest, replaces)) is not None:
        return present
    final = target.folder(manifest.recipe.kind, manifest.digest)
    with writing_to(to):
        final.parent.mkdir(parents=True, exist_ok=True)
        lock = final.with_name(f".pull.{manifest.digest}.lock")
        with locked(lock, f"{final}: another process pulls this artifact; waiting for it"):
            if (present := _present(target, manifest, replaces)) is not None:
                return present
            partial = _receive(store, manifest, final)
            if final.exists():
                logger.warning("%s: replacing what is damaged or has other content.", final)
            replace_folder(partial, final)
    return target.ref(manifest)


def _present(target: ArtifactStore, manifest: Manifest, replaces: bool) -> ArtifactRef | None:
    """The artifact if the folder has it whole; None if it is missing, damaged or to be replaced."""
    whole = target.find(manifest.recipe.kind, manifest.digest)
    if whole is not None and whole.sha256 != manifest.sha256:
        if replaces:
            return None
        raise ArtifactConflictError(
            f"{target.folder(whole.kind, whole.digest)}: expected content {manifest.sha256}; found {whole.sha256}, which is "
            "whole and is kept. Pull into another folder."
        )
    return whole


def _receive(store: ObjectStore, manifest: Manifest, final: Path) -> Path:
    """Complete the partial folder beside `final`, whose lock the caller holds; what an earlier pull received is kept."""
    partial = final.with_name(f".pull.{manifest.digest}.{manifest.sha256[:16]}")
    for other in final.parent.glob(f".pull.{manifest.digest}.*"):
        if other != partial and other.is_dir():
            shutil.rmtree(other)  # what was published under this digest before, and was never pulled completely
    partial.mkdir(exist_ok=True)
    paths = {entry: partial / entry.path for entry in manifest.files}
    missing = sum(entry.size_bytes - (path.stat().st_size if path.exists() else 0) for entry, path in paths.items())
    if (free := shutil.disk_usage(partial).free) < missing:
        raise StorageFullError(
            f"{final.parent}: expected room for {missing:,} more bytes; found {free:,}. Free some space, or pull to a "
            "larger disk; the bytes that were received are kept."
        )
    for entry, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _fetch(store, file_key(manifest, entry.path), path, entry)
    (partial / MANIFEST).write_bytes(manifest.to_json())
    for path in partial.rglob("*"):
        fsync_path(path)
    return partial


def _fetch(store: ObjectStore, key: str, path: Path, entry: FileEntry) -> None:
    """Download one file and verify it; if its bytes are wrong, download it from the start once more."""
    for _ in range(2):
        store.download(key, path, entry.size_bytes)
        if sha256_file(path) == entry.sha256:
            return
        logger.warning("%s: the bytes are not those of the manifest; downloading again from the start.", key)
        path.unlink()
    raise ArtifactDamagedError(
        f"{store.uri}/{key}: expected SHA-256 {entry.sha256}; found other bytes, twice. Publish the artifact again."
    )


def resolve(store: ObjectStore, spec: str) -> Manifest:
    """The manifest that `kind@alias` or `kind@digest` names.

    Raises:
        UnknownAliasError: there is no such alias or digest; the message lists those there are.
        ArtifactDamagedError: the alias or the manifest is damaged, or they do not agree.
    """
    kind, _, name = spec.partition("@")
    name = name or "latest"
    named: Alias | Earlier | None
    if name == PREVIOUS:
        named = previous_champion(store, kind)
    else:
        alias = read_alias(store, kind, name)
        named = alias[0] if alias else None
    if named is not None:
        manifest = published_manifest(store, kind, named.digest)
        if manifest is None or manifest.sha256 != named.sha256:
            raise ArtifactDamagedError(
                f"{store.uri}: {kind}@{name}: expected {named.digest} as it was published; found other content, or none. "
                "Publish it again."
            )
        return manifest
    manifests = [key.split("/")[2] for key in store.keys(f"artifacts/{kind}/") if key.count("/") == 3]
    matching = [digest for digest in manifests if digest.startswith(name)]
    if len(matching) == 1 and (manifest := published_manifest(store, kind, matching[0])) is not None:
        return manifest
    aliases = [Path(key).stem for key in store.keys(f"aliases/{kind}/")]
    raise UnknownAliasError(
        f"{store.uri}: expected {kind}@{name}; found {len(matching)} artifacts of that name. "
        f"Aliases: {', '.join(aliases) or 'none'}. Digests: {', '.join(manifests[:20]) or 'none'}."
    )
