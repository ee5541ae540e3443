"""Publish artifacts to an object store, and pull them.

Files are uploaded to `artifacts/<kind>/<digest>/<content>/<file>`, and then the manifest to
`artifacts/<kind>/<digest>/manifest.json`, which makes the artifact visible. Every pulled file is verified against the manifest.
"""

import logging
import shutil
from pathlib import Path

from storage.artifacts.aliases import PREVIOUS, Alias, Earlier, previous_champion, read_alias
from storage.artifacts.manifest import MANIFEST, MEASURED, Manifest
from storage.artifacts.object_stores import ObjectStore
from storage.artifacts.published import file_key, manifest_key, published_manifest
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.errors import (
    ArtifactConflictError,
    ArtifactDamagedError,
    ObjectStoreError,
    UnknownAliasError,
)
from storage.files import fsync_path, sha256_file, writing_to

logger = logging.getLogger("marquee.publishing")


def publish(store: ObjectStore, artifacts: ArtifactStore, ref: ArtifactRef) -> bool:
    """Upload an artifact; True if it was not published yet. Of a kind with measured times the first one published is kept.

    Raises:
        ArtifactConflictError: the same digest is published with other content.
        ObjectStoreError: the store refused, or has another size than was sent.
    """
    folder = artifacts.open(ref)
    manifest = artifacts.manifest(ref)
    published = published_manifest(store, ref.kind, ref.digest)
    if published is None:
        for entry in manifest.files:
            key = file_key(manifest, entry.path)
            if store.size(key) != entry.size_bytes:
                store.put_file(key, folder / entry.path)
            if (size := store.size(key)) != entry.size_bytes:
                raise ObjectStoreError(
                    f"{store.uri}/{key}: sent {entry.size_bytes} bytes; the store has {size}. Run again."
                )
        if store.put_if_absent(manifest_key(ref.kind, ref.digest), (folder / MANIFEST).read_bytes()):
            return True
        published = published_manifest(store, ref.kind, ref.digest)
    if published is None or (published.sha256 != manifest.sha256 and ref.kind not in MEASURED):
        raise ArtifactConflictError(
            f"{store.uri}: {ref.kind}/{ref.digest} is published with other content than this machine made. "
            "Published artifacts never change: pull that one, or find out why this machine made other bytes."
        )
    return False


def pull(store: ObjectStore, spec: str, to: Path) -> ArtifactRef:
    """Download `kind@alias` or `kind@digest` to `to/<kind>/<digest>/` and verify every hash; partial files are resumed.

    Raises:
        UnknownAliasError: there is no such alias or digest; the message lists those there are.
        ArtifactDamagedError: an object's bytes are not those of the manifest, after two downloads.
    """
    kind, _, name = spec.partition("@")
    manifest = _resolve(store, kind, name or "latest")
    target = ArtifactStore(to)
    final = target.folder(kind, manifest.digest)
    if (whole := target.find(kind, manifest.digest)) is not None and whole.sha256 == manifest.sha256:
        return whole
    partial = final.with_name(f".pull.{manifest.digest}.{manifest.sha256[:16]}")
    with writing_to(to):
        partial.mkdir(parents=True, exist_ok=True)
        for entry in manifest.files:
            path = partial / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            _fetch(store, file_key(manifest, entry.path), path, entry.sha256)
        (partial / MANIFEST).write_text(manifest.model_dump_json(indent=2))
        for path in partial.rglob("*"):
            fsync_path(path)
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        fsync_path(final.parent)
    return target.ref(manifest)


def _fetch(store: ObjectStore, key: str, path: Path, sha256: str) -> None:
    """Download one file and verify it; if its bytes are wrong, download it from the start once more."""
    for _ in range(2):
        store.download(key, path)
        if sha256_file(path) == sha256:
            return
        logger.warning("%s: the bytes are not those of the manifest; downloading again from the start.", key)
        path.unlink()
    raise ArtifactDamagedError(
        f"{store.uri}/{key}: expected SHA-256 {sha256}; found other bytes, twice. Publish the artifact again."
    )


def _resolve(store: ObjectStore, kind: str, name: str) -> Manifest:
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
