"""What is published under which key, and the manifests of published artifacts."""

import logging
from collections.abc import Callable
from typing import TypeVar

from storage.artifacts.manifest import MANIFEST, Manifest
from storage.artifacts.object_stores import DOCUMENT_BYTES, ObjectStore
from storage.errors import ArtifactDamagedError

logger = logging.getLogger("marquee.publishing")

T = TypeVar("T")


def published_manifest(store: ObjectStore, kind: str, digest: str) -> Manifest | None:
    """The manifest of a published artifact, or None.

    Raises:
        ArtifactDamagedError: it does not parse, or is another artifact's.
    """
    found = store.get(manifest_key(kind, digest))
    return None if found is None else _parse(found[0], store, kind, digest)


def replaceable_manifest(store: ObjectStore, kind: str, digest: str) -> tuple[Manifest | None, str | None]:
    """The manifest of a published artifact, and the etag that replacing it requires; a damaged one is None."""
    return replaceable(store, manifest_key(kind, digest), lambda data: _parse(data, store, kind, digest))


def replaceable(store: ObjectStore, key: str, parse: Callable[[bytes], T]) -> tuple[T | None, str | None]:
    """The document under a key, and the etag that replacing it requires; a damaged one is None, with a warning."""
    found = store.get(key)
    if found is None:
        return None, None
    try:
        return parse(found[0]), found[1]
    except ArtifactDamagedError as error:
        logger.warning("The published document is damaged and will be replaced: %s", error)
        return None, found[1]


def _parse(data: bytes, store: ObjectStore, kind: str, digest: str) -> Manifest:
    where = f"{store.uri}/{manifest_key(kind, digest)}"
    if len(data) > DOCUMENT_BYTES:
        raise ArtifactDamagedError(
            f"{where}: expected a manifest of at most {DOCUMENT_BYTES:,} bytes; found more. Publish the artifact again."
        )
    manifest = Manifest.parse(data, where)
    if (manifest.recipe.kind, manifest.digest) != (kind, digest):
        raise ArtifactDamagedError(
            f"{where}: expected the manifest of {kind}/{digest}; found that of "
            f"{manifest.recipe.kind}/{manifest.digest}. Publish the artifact again."
        )
    return manifest


def manifest_key(kind: str, digest: str) -> str:
    """The key of an artifact's manifest."""
    return f"artifacts/{kind}/{digest}/{MANIFEST}"


def file_key(manifest: Manifest, path: str) -> str:
    """The key of one file of an artifact; the content hash in it keeps two uploads apart until one manifest wins."""
    return f"artifacts/{manifest.recipe.kind}/{manifest.digest}/{manifest.sha256[:16]}/{path}"
