"""Publish artifacts to an object store, move aliases, and pull artifacts.

Files are uploaded to `artifacts/<kind>/<digest>/<content>/<file>`, and then the manifest to
`artifacts/<kind>/<digest>/manifest.json`, which makes the artifact visible. An alias, `aliases/<kind>/<name>.json`, names one
artifact and is moved by compare-and-swap. Every pulled file is verified against the manifest.
"""

import logging
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from storage.artifacts.manifest import MANIFEST, MEASURED, Manifest
from storage.artifacts.object_stores import ObjectStore
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.errors import (
    AliasMovedError,
    ArtifactConflictError,
    ArtifactDamagedError,
    ObjectStoreError,
    UnknownAliasError,
)
from storage.files import fsync_path, sha256_file, writing_to

logger = logging.getLogger("marquee.publishing")
ALIAS_TRIES = 20


class Alias(BaseModel):
    """A movable name of one published artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    name: str
    digest: str
    sha256: str
    previous: str | None  # the digest that it named before
    moved_at: str
    why: dict[str, Any]


def publish(store: ObjectStore, artifacts: ArtifactStore, ref: ArtifactRef) -> bool:
    """Upload an artifact; True if it was not published yet. Of a kind with measured times the first one published is kept.

    Raises:
        ArtifactConflictError: the same digest is published with other content.
        ObjectStoreError: the store refused, or has another size than was sent.
    """
    folder = artifacts.open(ref)
    manifest = artifacts.manifest(ref)
    published = _published_manifest(store, ref.kind, ref.digest)
    if published is None:
        for entry in manifest.files:
            key = _file_key(manifest, entry.path)
            if store.size(key) != entry.size_bytes:
                store.put_file(key, folder / entry.path)
            if (size := store.size(key)) != entry.size_bytes:
                raise ObjectStoreError(
                    f"{store.uri}/{key}: sent {entry.size_bytes} bytes; the store has {size}. Run again."
                )
        if store.put_if_absent(_manifest_key(ref.kind, ref.digest), (folder / MANIFEST).read_bytes()):
            return True
        published = _published_manifest(store, ref.kind, ref.digest)
    if published is None or (published.sha256 != manifest.sha256 and ref.kind not in MEASURED):
        raise ArtifactConflictError(
            f"{store.uri}: {ref.kind}/{ref.digest} is published with other content than this machine made. "
            "Published artifacts never change: pull that one, or find out why this machine made other bytes."
        )
    return False


def read_alias(store: ObjectStore, kind: str, name: str) -> tuple[Alias, str] | None:
    """An alias and the etag that moving it requires, or None if there is no such alias.

    Raises:
        ArtifactDamagedError: it does not parse.
    """
    found = store.get(_alias_key(kind, name))
    if found is None:
        return None
    try:
        return Alias.model_validate_json(found[0]), found[1]
    except ValidationError as error:
        raise ArtifactDamagedError(
            f"{store.uri}/{_alias_key(kind, name)}: expected an alias; found what does not parse. Remove it and publish again."
        ) from error


def move_alias(
    store: ObjectStore,
    ref: ArtifactRef,
    name: str,
    why: dict[str, Any],
    should_move: Callable[[Alias | None], bool] = lambda present: True,
) -> Alias | None:
    """Move an alias to a published artifact; None if `should_move` returns False for the alias's present state.

    Raises:
        UnknownAliasError: the artifact is not published.
        AliasMovedError: others moved it each time that we tried.
    """
    published = _published_manifest(store, ref.kind, ref.digest)
    if published is None:
        raise UnknownAliasError(
            f"{store.uri}: {ref.kind}/{ref.digest} expected a published artifact; found none. Publish it before {name} is moved to it."
        )
    for _ in range(ALIAS_TRIES):
        found = read_alias(store, ref.kind, name)
        present, etag = found or (None, None)
        if present is not None and present.digest == ref.digest:
            return present
        if not should_move(present):
            return None
        alias = Alias(
            kind=ref.kind,
            name=name,
            digest=ref.digest,
            sha256=published.sha256,
            previous=present.digest if present else None,
            moved_at=datetime.now(UTC).isoformat(timespec="seconds"),
            why=why,
        )
        if store.compare_and_swap(_alias_key(ref.kind, name), alias.model_dump_json(indent=2).encode(), etag):
            return alias
    raise AliasMovedError(
        f"{store.uri}: {ref.kind}@{name} expected to move it; others moved it {ALIAS_TRIES} times meanwhile. Run again."
    )


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
            _fetch(store, _file_key(manifest, entry.path), path, entry.sha256)
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
    alias = read_alias(store, kind, name)
    if alias is not None:
        manifest = _published_manifest(store, kind, alias[0].digest)
        if manifest is None or manifest.sha256 != alias[0].sha256:
            raise ArtifactDamagedError(
                f"{store.uri}: {kind}@{name}: expected {alias[0].digest} as it was published; found other content, or none. "
                "Publish it again."
            )
        return manifest
    manifests = [key.split("/")[2] for key in store.keys(f"artifacts/{kind}/") if key.count("/") == 3]
    matching = [digest for digest in manifests if digest.startswith(name)]
    if len(matching) == 1 and (manifest := _published_manifest(store, kind, matching[0])) is not None:
        return manifest
    aliases = [Path(key).stem for key in store.keys(f"aliases/{kind}/")]
    raise UnknownAliasError(
        f"{store.uri}: expected {kind}@{name}; found {len(matching)} artifacts of that name. "
        f"Aliases: {', '.join(aliases) or 'none'}. Digests: {', '.join(manifests[:20]) or 'none'}."
    )


def _published_manifest(store: ObjectStore, kind: str, digest: str) -> Manifest | None:
    key = _manifest_key(kind, digest)
    found = store.get(key)
    if found is None:
        return None
    manifest = Manifest.parse(found[0], f"{store.uri}/{key}")
    if (manifest.recipe.kind, manifest.digest) != (kind, digest):
        raise ArtifactDamagedError(
            f"{store.uri}/{key}: expected the manifest of {kind}/{digest}; found that of "
            f"{manifest.recipe.kind}/{manifest.digest}. Publish the artifact again."
        )
    return manifest


def _manifest_key(kind: str, digest: str) -> str:
    return f"artifacts/{kind}/{digest}/{MANIFEST}"


def _file_key(manifest: Manifest, path: str) -> str:
    return f"artifacts/{manifest.recipe.kind}/{manifest.digest}/{manifest.sha256[:16]}/{path}"


def _alias_key(kind: str, name: str) -> str:
    return f"aliases/{kind}/{name}.json"
