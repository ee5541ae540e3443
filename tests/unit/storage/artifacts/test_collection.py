"""`marquee gc`: what aliases, recent use and inputs need is kept, and nothing is removed while a command runs."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from unit.storage.artifacts.test_inspection import abandon

from storage.artifacts.aliases import move_alias
from storage.artifacts.collection import DAY_SECONDS, collect
from storage.artifacts.foreign import fetch
from storage.artifacts.manifest import MANIFEST, Recipe
from storage.artifacts.object_stores import ObjectStore, open_store
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.errors import ArtifactDamagedError
from storage.home import HomeInUseError
from storage.sources.web.response_cache import Response, ResponseCache


def make(store: ArtifactStore, kind: str, *inputs: ArtifactRef, days: float = 100, name: str = "") -> ArtifactRef:
    """An artifact that was used some days ago for the last time."""
    named = {f"input {place}": ref.name_as_input for place, ref in enumerate(inputs)}
    recipe = Recipe(kind=kind, schema_version=1, parameters={"name": name}, inputs=named, code="c")
    with store.create(recipe, inputs) as draft:
        (draft.path / "data").write_text(f"{kind} {name}")
    age(store.open(draft.committed) / MANIFEST, days)
    return draft.committed


def age(path: Path, days: float) -> None:
    then = time.time() - days * DAY_SECONDS
    os.utime(path, (then, then))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def own(home: Path) -> ArtifactStore:
    return ArtifactStore(home / "artifacts")


@pytest.fixture
def published(home: Path) -> ObjectStore:
    return open_store(str(home / "published"))


def names(store: ArtifactStore) -> set[str]:
    return {path.parent.name for path in store.root.glob("*/*")}


def test_what_aliases_and_recent_use_need_is_kept_with_all_inputs(
    home: Path, own: ArtifactStore, published: ObjectStore
) -> None:
    base, unused = make(own, "events"), make(own, "movies")
    dataset = make(own, "dataset", base)
    champion = make(own, "policy", dataset, name="champion")
    forgotten = make(own, "baselines", dataset)
    recent_input = make(own, "texts")
    recent = make(own, "items", recent_input, days=2)
    publish(published, own, champion)
    age(own.open(champion) / MANIFEST, 100)
    move_alias(published, champion, "champion", {})
    found = collect(home, published, keep_days=30)
    assert {one.path for one in found} == {own.open(ref) for ref in (unused, forgotten)}
    assert all(one.days >= 99 and one.size_bytes > 0 for one in found)
    assert names(own) >= {"movies", "baselines"}, "a dry run removes nothing"
    assert [one.path for one in collect(home, published, keep_days=30, delete=True)] == [one.path for one in found]
    assert names(own) == {"events", "dataset", "policy", "texts", "items"}
    assert own.find("items", recent.digest) == recent
    assert collect(home, published, keep_days=30) == []
    assert {one.what for one in collect(home, published, keep_days=1)} == set(), "it was used just now"


def test_use_is_remembered(home: Path, own: ArtifactStore, published: ObjectStore) -> None:
    ref = make(own, "events")
    assert len(collect(home, published, keep_days=30)) == 1
    assert own.find("events", ref.digest) == ref
    assert collect(home, published, keep_days=30) == []


def test_the_artifact_to_which_a_rollback_would_go_is_kept(
    home: Path, own: ArtifactStore, published: ObjectStore
) -> None:
    policies = [make(own, "policy", name=name) for name in ("first", "second", "third")]
    for policy in policies:
        publish(published, own, policy)
        move_alias(published, policy, "champion", {})
        age(own.open(policy) / MANIFEST, 100)
    assert [one.path for one in collect(home, published, keep_days=30)] == [own.folder("policy", policies[0].digest)]


def test_foreign_artifacts_are_kept_while_something_needs_them(
    home: Path, own: ArtifactStore, published: ObjectStore, tmp_path: Path
) -> None:
    other, theirs = open_store(str(tmp_path / "other")), ArtifactStore(tmp_path / "their home")
    refs = [make(theirs, "policy", name=name) for name in ("needed", "not needed")]
    for ref in refs:
        publish(other, theirs, ref)
    needed, unused = (fetch(other, f"policy@{ref.digest}", own) for ref in refs)
    for ref in (needed, unused):
        age(own.open(ref) / MANIFEST, 100)
    make(own, "report", needed, days=1)
    assert [one.path for one in collect(home, published, keep_days=30, delete=True)] == [own.folder_of(unused)]
    assert own.open(needed).exists()


def test_what_is_not_an_artifact_goes_when_it_is_old(home: Path, own: ArtifactStore, published: ObjectStore) -> None:
    policy = make(own, "policy", days=0)
    for digest, days in ((policy.digest, 0), ("1" * 32, 100), ("2" * 32, 1)):
        folder = home / "checkpoints" / digest
        folder.mkdir(parents=True)
        (folder / "step-000000001.pt").write_bytes(b"state")
        age(folder / "step-000000001.pt", days)
        age(folder, days)
    for place, days in (("scratch/old", 100), ("scratch/new", 1), ("damaged/old", 100), ("releases/old", 100)):
        (home / place).mkdir(parents=True)
        age(home / place, days)
    cache, now = ResponseCache(home / "responses" / "tmdb"), datetime.now(UTC)
    for key, lasts in (("expired", -1), ("valid", 1)):
        cache.put(key, Response(False, b"{}", now, now + timedelta(days=lasts)))
    left = abandon(home / "artifacts" / "policy" / "x")
    found = {one.path for one in collect(home, published, keep_days=30, delete=True)}
    expected = [f"checkpoints/{policy.digest}", f"checkpoints/{'1' * 32}", "scratch/old", "damaged/old"]
    assert found == {*(home / name for name in expected), cache.path("expired"), left}
    assert not any(path.exists() for path in found)
    assert sorted(path.name for path in (home / "checkpoints").iterdir()) == ["2" * 32]
    assert [path.name for path in (home / "scratch").iterdir()] == ["new"]
    assert (home / "releases" / "old").exists()
    assert cache.get("valid", now) is not None


def test_aliases_that_cannot_be_read_stop_it(home: Path, own: ArtifactStore, published: ObjectStore) -> None:
    ref = make(own, "policy")
    publish(published, own, ref)
    move_alias(published, ref, "latest", {})
    age(own.open(ref) / MANIFEST, 100)
    (home / "published" / "aliases" / "policy" / "latest.json").write_text("{")
    with pytest.raises(ArtifactDamagedError):
        collect(home, published, keep_days=30, delete=True)
    assert own.open(ref).exists()


USER = """
import sys
from storage.home import use_home
use_home()
print("ready", flush=True)
sys.stdin.readline()
use_home()
print("done", flush=True)
"""


def test_nothing_is_removed_while_another_process_uses_the_work_directory(
    home: Path, own: ArtifactStore, published: ObjectStore
) -> None:
    make(own, "events")
    user = subprocess.Popen(
        [sys.executable, "-c", USER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"MARQUEE_HOME": str(home)},
    )
    assert user.stdout is not None
    assert user.stdout.readline() == "ready\n"
    with pytest.raises(HomeInUseError, match="found one that runs"):
        collect(home, published, keep_days=30, delete=True)
    assert names(own) == {"events"}
    assert len(collect(home, published, keep_days=30)) == 1, "a dry run is possible"
    user.kill()
    user.communicate()
    assert len(collect(home, published, keep_days=30, delete=True)) == 1
    assert names(own) == set()
