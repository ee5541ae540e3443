"""What is published under which key, and the manifests of published artifacts."""

from storage.artifacts.manifest import MANIFEST, Manifest
from storage.artifacts.object_stores import ObjectStore
from storage.errors import ArtifactDamagedError


def published_manifest(store: ObjectStore, kind: str, digest: str) -> Manifest | None:
    """The manifest of a published artifact, or None.

    Raises:
        ArtifactDamagedError: it does not parse, or is another artifact's.
    """
    key = manifest_key(kind, digest)
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


def manifest_key(kind: str, digest: str) -> str:
    """The key of an artifact's manifest."""
    return f"artifacts/{kind}/{digest}/{MANIFEST}"


def file_key(manifest: Manifest, path: str) -> str:
    """The key of one file of an artifact; the content hash in it keeps two uploads apart until one manifest wins."""
    return f"artifacts/{manifest.recipe.kind}/{manifest.digest}/{manifest.sha256[:16]}/{path}"
