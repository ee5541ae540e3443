"""`marquee fsck`: what is damaged is found, and is repaired where a whole copy is."""

import shutil
from pathlib import Path

import pytest
from unit.storage.artifacts.publishing_support import make

from storage.artifacts.aliases import move_alias
from storage.artifacts.foreign import fetch
from storage.artifacts.inspection import inspect_home, inspect_published
from storage.artifacts.manifest import MANIFEST
from storage.artifacts.object_stores import ObjectStore, open_store
from storage.artifacts.publishing import publish, pull
from storage.artifacts.store import ArtifactStore
from storage.checkpoints import Checkpoints
from storage.drafts import draft_beside
from storage.home import HomeInUseError, use_home


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def abandon(beside: Path) -> Path:
    """A draft whose writer was killed."""
    with draft_beside(beside) as path:
        path.write_text("half")
        kept = shutil.copytree(path.parent, path.parent.with_name("kept"))
    return kept.rename(beside.with_name(f".draft.{beside.name}.abcd"))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A work directory with two policies of its own, a foreign one, and a folder where they are published."""
    home = tmp_path / "home"
    store = open_store(str(home / "published"))
    for seed in range(2):
        own, ref = make(home / "artifacts", seed=seed)
        publish(store, own, ref)
        move_alias(store, ref, "latest", {})
    other = open_store(str(tmp_path / "other"))
    publish(other, *make(tmp_path / "their home", "other weights", seed=2))
    fetch(other, f"policy@{digest_of(other)}", own)
    return home


def digest_of(store: ObjectStore) -> str:
    return store.keys("artifacts/policy/")[0].split("/")[2]


def test_a_whole_work_directory_is_whole_and_stays_as_it_is(home: Path) -> None:
    before = snapshot(home)
    found = inspect_home(home)
    assert found.findings == []
    assert found.whole == {"policy": 2 + 1 + 2, "alias": 1}
    assert snapshot(home) == before
    assert inspect_home(home, repair=True).findings == []
    assert inspect_home(home / "nowhere").whole == {}


@pytest.mark.parametrize("name", ["a.bin", MANIFEST])
def test_damage_is_found_and_moved_aside_so_that_it_is_made_again(home: Path, name: str) -> None:
    own, foreign = next((home / "artifacts").glob("*/*")), next((home / "foreign").glob("*/*/*"))
    for folder in (own, foreign):
        flip(folder / name)
    left = abandon(own.with_name("x"))
    found = inspect_home(home)
    assert [one.where for one in found.damaged] == [str(own), str(foreign)]
    assert [one.where for one in found.findings if one.what == "left over"] == [str(left)]
    assert own.exists()
    assert left.exists()
    found = inspect_home(home, repair=True)
    assert len(found.findings) == 3
    assert found.damaged == []
    assert not own.exists()
    assert not foreign.exists()
    assert not left.exists()
    assert len(list((home / "damaged").iterdir())) == 2
    assert inspect_home(home).findings == []


def test_a_draft_that_is_being_written_is_left_alone(home: Path) -> None:
    with draft_beside(home / "artifacts" / "policy" / "x") as path:
        path.write_text("half")
        assert inspect_home(home, repair=True).findings == []
        assert path.read_text() == "half"


def damage_published(folder: Path, harm: str) -> None:
    key = next(folder.glob("artifacts/policy/*/*/a.bin"))
    if harm == "a flipped bit":
        flip(key)
    elif harm == "a missing file":
        key.unlink()
    else:
        flip(key.parents[1] / MANIFEST)


@pytest.mark.parametrize("harm", ["a flipped bit", "a missing file", "a damaged manifest"])
@pytest.mark.parametrize("copy", ["own", "fetched", "none"])
def test_damage_that_is_published_is_replaced_from_a_whole_copy(tmp_path: Path, harm: str, copy: str) -> None:
    theirs, ref = make(tmp_path / "their home")
    store, own = open_store(str(tmp_path / "published")), ArtifactStore(tmp_path / "home" / "artifacts")
    publish(store, theirs, ref)
    move_alias(store, ref, "champion", {})
    if copy == "own":
        make(own.root)
    elif copy == "fetched":
        fetch(store, "policy@champion", own)
    damage_published(tmp_path / "published", harm)
    found = inspect_published(store, own, repair=False)
    assert f"artifacts/policy/{ref.digest}" in found.damaged[0].where
    assert len(found.damaged) == (2 if harm == "a damaged manifest" else 1), (
        "an alias of a damaged manifest leads nowhere"
    )
    found = inspect_published(store, own, repair=True)
    assert bool(found.damaged) == (copy == "none")
    if copy != "none":
        assert pull(store, "policy@champion", tmp_path / "pulled").sha256 == ref.sha256


def test_a_copy_with_other_content_replaces_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "published"))
    publish(store, *make(tmp_path / "their home"))
    own, _ = make(tmp_path / "home" / "artifacts", "other weights")
    damage_published(tmp_path / "published", "a flipped bit")
    before = snapshot(tmp_path / "published")
    assert len(inspect_published(store, own, repair=True).damaged) == 1
    assert snapshot(tmp_path / "published") == before


def test_aliases_that_lead_nowhere_are_damage(tmp_path: Path) -> None:
    own, ref = make(tmp_path / "home" / "artifacts")
    store = open_store(str(tmp_path / "published"))
    publish(store, own, ref)
    for name in ("latest", "champion"):
        move_alias(store, ref, name, {})
    (tmp_path / "published" / "aliases" / "policy" / "latest.json").write_text("{")
    assert [one.where.rsplit("/", 1)[1] for one in inspect_published(store, own, repair=True).damaged] == [
        "latest.json"
    ]
    shutil.rmtree(tmp_path / "published" / "artifacts")
    found = inspect_published(store, own, repair=False)
    assert "found other content, or none" in found.damaged[0].detail
    assert found.whole == {}


def test_checkpoints_are_inspected_too(home: Path) -> None:
    checkpoints = Checkpoints(home / "checkpoints" / ("1" * 32))
    whole, damaged = (checkpoints.save(step, {"step": step}) for step in (1, 2))
    flip(damaged)
    assert [one.where for one in inspect_home(home).damaged] == [str(damaged)]
    assert inspect_home(home, repair=True).damaged == []
    assert (whole.exists(), damaged.exists()) == (True, False)


def test_a_store_that_does_not_answer_is_no_damage(tmp_path: Path) -> None:
    from storage.errors import ObjectStoreError

    with pytest.raises(ObjectStoreError):
        inspect_published(Silent(), ArtifactStore(tmp_path), repair=False)


class Silent:
    """A store that lists an artifact and then does not answer."""

    uri = "s3://silent"

    def keys(self, prefix: str) -> list[str]:
        return [f"artifacts/policy/{'0' * 32}/{MANIFEST}"] if prefix == "artifacts/" else []

    def __getattr__(self, name: str) -> object:
        from storage.errors import ObjectStoreError

        raise ObjectStoreError("no answer")


def test_nothing_is_repaired_while_a_command_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(home))
    own = next((home / "artifacts").glob("*/*"))
    flip(own / "a.bin")
    use_home()
    with pytest.raises(HomeInUseError, match="found one that runs"):
        inspect_home(home, repair=True)
    assert own.exists()
    assert len(inspect_home(home).damaged) == 1
