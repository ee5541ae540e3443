"""A manifest names an artifact by its recipe, and is refused when it is not consistent."""

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.artifacts.manifest import Manifest, Recipe
from storage.errors import ArtifactDamagedError


def recipe(**changes: object) -> Recipe:
    values = {
        "kind": "toy",
        "schema_version": 1,
        "parameters": {"a": 1},
        "inputs": {"x": "1" * 32},
        "code": "c",
    } | changes
    return Recipe.model_validate(values)


@given(st.dictionaries(st.text(), st.one_of(st.integers(), st.text(), st.booleans()), max_size=5))
def test_digest_depends_on_values_not_on_order(parameters: dict[str, object]) -> None:
    backwards = dict(reversed(list(parameters.items())))
    assert recipe(parameters=parameters).digest == recipe(parameters=backwards).digest
    assert recipe(parameters=parameters).digest != recipe(parameters=parameters | {"one more": 1}).digest


@pytest.mark.parametrize(
    "changes",
    [{"kind": "other"}, {"schema_version": 2}, {"parameters": {"a": 2}}, {"inputs": {"x": "2" * 32}}, {"code": "d"}],
    ids=lambda changes: next(iter(changes)),
)
def test_digest_depends_on_every_part_of_a_recipe(changes: dict[str, object]) -> None:
    assert recipe(**changes).digest != recipe().digest


FACTS = {"validation_ndcg@10": 0.1234, "learner": "td3", "passed": True, "é": [1e-07, None, -3], "text": 'a "b" \\ c'}


def manifest(*paths: str, **changes: Any) -> bytes:
    """The manifest.json of files with these paths, then changed; its checksum and content hash are right."""
    files = [{"path": path, "size_bytes": 1, "sha256": "0" * 64} for path in paths or ("data.txt",)]
    lines = sorted((str(one["path"]), f"{one['sha256']}  {one['path']}\n") for one in files)
    content = hashlib.sha256("".join(line for _, line in lines).encode()).hexdigest()
    values = {
        "format": "marquee-artifact/2", "digest": recipe().digest, "recipe": recipe().model_dump(), "files": files,
        "sha256": content, "rows": 1, "facts": FACTS, "licences": ["cite"], "generated": False,
        "versions": {"numpy": "2.0"}, "created_at": "2026-11-28T10:00:00+00:00", "seconds": 1.5,
    } | changes  # fmt: skip
    values = {name: value for name, value in values.items() if value is not None}
    checksum = hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return json.dumps({"checksum": checksum} | values).encode()


def test_a_consistent_manifest_is_read_and_written_back() -> None:
    found = Manifest.parse(manifest("a", "b/c"), "here")
    assert found.size_bytes == 2
    assert found.facts == FACTS
    assert Manifest.parse(found.to_json(), "here") == found


def test_every_single_bit_flip_is_seen_or_changes_nothing() -> None:
    whole = manifest()
    expected = Manifest.parse(whole, "here")
    for data in (whole, expected.to_json()):
        for position in range(len(data)):
            for bit in range(8):
                flipped = bytearray(data)
                flipped[position] ^= 1 << bit
                try:
                    assert Manifest.parse(bytes(flipped), "here") == expected
                except ArtifactDamagedError as error:
                    assert "here: expected" in str(error)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_typed_error(data: bytes) -> None:
    with pytest.raises(ArtifactDamagedError, match="here: expected"):
        Manifest.parse(data, "here")


NUMBERS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
)


@given(st.dictionaries(st.text(), st.recursive(NUMBERS, st.lists, max_leaves=5), max_size=4))
def test_any_facts_are_read_back_and_covered(facts: dict[str, Any]) -> None:
    whole = Manifest.parse(manifest(facts=facts), "here")
    again = Manifest.parse(whole.to_json(), "here")
    assert again.facts == whole.facts == facts
    changed = json.loads(whole.to_json())
    changed["facts"]["one more"] = 1
    with pytest.raises(ArtifactDamagedError, match="checksum"):
        Manifest.parse(json.dumps(changed).encode(), "here")


def entry(**changes: Any) -> list[dict[str, Any]]:
    return [{"path": "data.txt", "size_bytes": 1, "sha256": "0" * 64} | changes]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: b"{", "does not parse"),
        (lambda: b"[" * 100_000, "does not parse"),
        (
            lambda: manifest(format="marquee-artifact/1"),
            "expected format marquee-artifact/2; found 'marquee-artifact/1'",
        ),
        (lambda: manifest(format=None), "found None"),
        (lambda: manifest().replace(b"0.1234", b"0.2234"), "checksum"),
        (lambda: manifest().replace(b"0.1234", b"NaN"), "does not parse"),
        (lambda: manifest().replace(b"0.1234", b"1e999"), "does not parse"),
        (lambda: manifest(recipe=recipe(parameters={"a": 2}).model_dump()), "expected the digest"),
        (lambda: manifest(files=entry(sha256="1" * 64)), "content hash"),
        (lambda: manifest("data.txt", "../outside"), "outside"),
        (lambda: manifest("a/../../outside"), "outside"),
        (lambda: manifest("/etc/outside"), "outside"),
        (lambda: manifest("a//b"), "outside"),
        (lambda: manifest("a\\..\\b"), "outside"),
        (lambda: manifest("a\0b"), "outside"),
        (lambda: manifest("manifest.json"), "expected no manifest.json"),
        (lambda: manifest("a", "a"), "one path for two files"),
        (lambda: manifest("a", "a/b"), "one path for two files"),
        (lambda: manifest(*(f"{number}" for number in range(10_001))), "files: "),
        (lambda: manifest(files=[]), "files: "),
        (lambda: manifest(files=entry(size_bytes=-1)), "size_bytes: "),
        (lambda: manifest(files=entry(size_bytes="1")), "size_bytes: "),
        (lambda: manifest(files=entry(sha256="0" * 63)), "sha256: "),
        (lambda: manifest(files=entry(sha256="A" * 64)), "sha256: "),
        (lambda: manifest(digest="../../evil"), "digest: "),
        (lambda: manifest(recipe=recipe().model_dump() | {"kind": "../evil"}), "recipe.kind: "),
        (lambda: manifest(recipe=recipe().model_dump() | {"inputs": {"x": "1"}}), "recipe.inputs.x: "),
        (lambda: manifest(rows=-1), "rows: "),
        (lambda: manifest(created_at="yesterday"), "created_at: "),
        (lambda: manifest(created_at="2026-11-28T10:00:00"), "created_at: "),
        (lambda: manifest(more=1), "more: "),
        (lambda: manifest(facts={"text": "x" * (17 << 20)}), "at most"),
    ],
)
def test_a_manifest_that_is_not_consistent_is_refused(make: Callable[[], bytes], message: str) -> None:
    with pytest.raises(ArtifactDamagedError, match=f"here: .*{re.escape(message)}"):
        Manifest.parse(make(), "here")


def test_facts_that_are_not_finite_are_kept_as_missing() -> None:
    made = Manifest.parse(manifest(), "here").model_copy(update={"facts": {"score": float("nan")}})
    assert Manifest.parse(made.to_json(), "here").facts == {"score": None}
