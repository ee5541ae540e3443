"""Artifacts from elsewhere: used, verified, and kept apart from own ones."""

from pathlib import Path

import pytest

from storage.artifacts.aliases import move_alias
from storage.artifacts.foreign import fetch, take_in
from storage.artifacts.manifest import MANIFEST, Recipe
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish, pull
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.errors import ArtifactDamagedError, ArtifactError


def make(root: Path, text: str = "weights") -> tuple[ArtifactStore, ArtifactRef]:
    """An artifact of one recipe with any content: a digest proves nothing about the content."""
    store = ArtifactStore(root)
    with store.create(Recipe(kind="policy", schema_version=1, parameters={}, inputs={}, code="c")) as draft:
        (draft.path / "sub").mkdir()
        (draft.path / "sub" / "data.txt").write_text(text)
    return store, draft.committed


def published(folder: Path, text: str = "weights") -> tuple[str, ArtifactRef]:
    """A folder where another machine has published an artifact as champion."""
    artifacts, ref = make(folder / "their home", text)
    store = open_store(str(folder / "published"))
    publish(store, artifacts, ref)
    move_alias(store, ref, "champion", {})
    return store.uri, ref


def test_what_is_fetched_is_no_own_artifact(tmp_path: Path) -> None:
    uri, theirs = published(tmp_path, "poison")
    own = ArtifactStore(tmp_path / "home" / "artifacts")
    found = fetch(open_store(uri), "policy@champion", own)
    assert (found.origin, found.sha256) == (uri, theirs.sha256)
    assert own.find("policy", theirs.digest) is None
    assert own.manifests("policy") == []
    assert own.open(found).is_relative_to(tmp_path / "home" / "foreign")
    assert own.manifest(found).sha256 == theirs.sha256
    assert fetch(open_store(uri), "policy@champion", own) == found
    _, ours = make(tmp_path / "home" / "artifacts")
    assert ours.digest == theirs.digest
    assert (own.open(ours) / "sub" / "data.txt").read_text() == "weights"
    assert (own.open(found) / "sub" / "data.txt").read_text() == "poison"


def test_own_content_that_was_published_is_not_fetched_again(tmp_path: Path) -> None:
    uri, _ = published(tmp_path)
    own, ours = make(tmp_path / "home" / "artifacts")
    assert fetch(open_store(uri), "policy@champion", own) == ours
    assert not (tmp_path / "home" / "foreign").exists()


def test_foreign_inputs_are_named_by_their_content(tmp_path: Path) -> None:
    _, theirs = published(tmp_path, "poison")
    own, ours = make(tmp_path / "home" / "artifacts")
    found = fetch(open_store(str(tmp_path / "published")), "policy@champion", own)
    assert theirs.digest == ours.digest == found.digest
    assert (ours.name_as_input, found.name_as_input) == (ours.digest, theirs.sha256)
    recipe = Recipe(
        kind="report",
        schema_version=1,
        parameters={},
        inputs={"own": ours.name_as_input, "foreign": found.name_as_input},
        code="c",
    )
    assert recipe.own_inputs == {"own": ours.digest}


def test_nothing_is_pulled_among_own_artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "home"))
    uri, _ = published(tmp_path)
    with pytest.raises(ArtifactError, match="expected another folder"):
        pull(open_store(uri), "policy@champion", tmp_path / "home" / "artifacts")
    assert not (tmp_path / "home").exists()


def test_an_artifact_in_a_folder_is_taken_in_once_and_whole(tmp_path: Path) -> None:
    theirs, ref = make(tmp_path / "theirs")
    folder, own = theirs.open(ref), ArtifactStore(tmp_path / "home" / "artifacts")
    (folder / "no file of the artifact").write_text("?")
    for _ in range(2):
        taken = take_in(folder, "policy", own)
        assert (taken.digest, taken.sha256, taken.origin) == (ref.digest, ref.sha256, folder.as_uri())
    copy = own.open(taken)
    assert sorted(path.name for path in copy.iterdir()) == [MANIFEST, "sub"]
    assert own.find("policy", ref.digest) is None
    with pytest.raises(ArtifactError, match="expected an artifact of kind report"):
        take_in(folder, "report", own)
    with pytest.raises(ArtifactError, match=MANIFEST):
        take_in(tmp_path, "policy", own)


def test_a_folder_with_an_own_artifact_is_that_artifact(tmp_path: Path) -> None:
    own, ref = make(tmp_path / "home" / "artifacts")
    assert take_in(own.open(ref), "policy", own) == ref


def test_a_folder_whose_content_changed_is_taken_in_anew(tmp_path: Path) -> None:
    own = ArtifactStore(tmp_path / "home" / "artifacts")
    theirs, ref = make(tmp_path / "theirs")
    first = take_in(theirs.open(ref), "policy", own)
    theirs.folder("policy", ref.digest).rename(tmp_path / "old")
    theirs, ref = make(tmp_path / "theirs", "other weights")
    second = take_in(theirs.open(ref), "policy", own)
    assert first.digest == second.digest
    assert (own.open(second) / "sub" / "data.txt").read_text() == "other weights"
    with pytest.raises(ArtifactDamagedError, match="expected content"):
        own.open(first)


@pytest.mark.parametrize("harm", ["torn", "link", "linked folder"])
def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path, harm: str) -> None:
    theirs, ref = make(tmp_path / "theirs")
    folder, own = theirs.open(ref), ArtifactStore(tmp_path / "home" / "artifacts")
    data = folder / "sub" / "data.txt"
    if harm == "torn":
        data.write_text("WEIGHTS")
    elif harm == "link":
        data.rename(tmp_path / "secret")
        data.symlink_to(tmp_path / "secret")
    else:
        data.parent.rename(tmp_path / "secrets")
        data.parent.symlink_to(tmp_path / "secrets")
    with pytest.raises(ArtifactDamagedError, match="symbolic link" if "link" in harm else "other bytes"):
        take_in(folder, "policy", own)
    assert not list((tmp_path / "home").rglob("data.txt"))
