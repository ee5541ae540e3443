"""A manifest names an artifact by its recipe, and is refused when it is not consistent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.artifacts.manifest import FileEntry, Manifest, Recipe, content_sha256
from storage.errors import ArtifactDamagedError


def recipe(**changes: object) -> Recipe:
    values = {"kind": "toy", "schema_version": 1, "parameters": {"a": 1}, "inputs": {"x": "1"}, "code": "c"} | changes
    return Recipe.model_validate(values)


@given(st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.booleans()), max_size=5))
def test_digest_depends_on_values_not_on_order(parameters: dict[str, object]) -> None:
    backwards = dict(reversed(list(parameters.items())))
    assert recipe(parameters=parameters).digest == recipe(parameters=backwards).digest
    assert recipe(parameters=parameters).digest != recipe(parameters=parameters | {"one more": 1}).digest


@pytest.mark.parametrize(
    "changes",
    [{"kind": "other"}, {"schema_version": 2}, {"parameters": {"a": 2}}, {"inputs": {"x": "2"}}, {"code": "d"}],
    ids=lambda changes: next(iter(changes)),
)
def test_digest_depends_on_every_part_of_a_recipe(changes: dict[str, object]) -> None:
    assert recipe(**changes).digest != recipe().digest


def manifest(*paths: str, **changes: Any) -> bytes:
    """A consistent manifest of files with these paths, then changed."""
    files = tuple(FileEntry(path=path, size_bytes=1, sha256="0" * 64) for path in paths or ("data.txt",))
    values = {
        "digest": recipe().digest, "recipe": recipe(), "files": files, "sha256": content_sha256(files), "rows": 1,
        "facts": {}, "licences": (), "generated": False, "versions": {}, "created_at": "", "seconds": 1.0,
    }  # fmt: skip
    return Manifest.model_validate(values | changes).model_dump_json().encode()


def test_a_consistent_manifest_is_read() -> None:
    assert Manifest.parse(manifest("a", "b/c"), "here").size_bytes == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b"{", "does not parse"),
        (lambda: manifest(recipe=recipe(parameters={"a": 2})), "expected the digest"),
        (lambda: manifest(files=(FileEntry(path="data.txt", size_bytes=1, sha256="1" * 64),)), "content hash"),
        (lambda: manifest("data.txt", "../outside"), "outside"),
        (lambda: manifest("a/../../outside"), "outside"),
        (lambda: manifest("/etc/outside"), "outside"),
    ],
    ids=["torn", "recipe", "content", "parent", "nested", "absolute"],
)
def test_a_manifest_that_is_not_consistent_is_refused(make: Callable[[], bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactDamagedError, match=f"here: .*{message}"):
        Manifest.parse(make(), "here")
