"""Artifact folders: written whole or not at all, found whole or not at all."""

import signal
import subprocess
import sys
import threading
from datetime import datetime, tzinfo
from pathlib import Path

import pytest

from storage.artifacts import store as store_module
from storage.artifacts.manifest import MANIFEST, Depth, Recipe
from storage.artifacts.store import ArtifactRef, ArtifactStore
from storage.errors import (
    ArtifactConflictError,
    ArtifactError,
    StorageFullError,
    StorageUnwritableError,
)


def recipe(**changes: object) -> Recipe:
    values = {"kind": "toy", "schema_version": 1, "parameters": {"a": 1}, "inputs": {}, "code": "c"} | changes
    return Recipe.model_validate(values)


def make(store: ArtifactStore, text: str = "hello", made: Recipe | None = None) -> ArtifactRef:
    with store.create(made or recipe()) as draft:
        (draft.path / "sub").mkdir()
        (draft.path / "sub" / "data.txt").write_text(text)
        draft.rows = 3
    return draft.committed


def test_committed_artifact_is_found_whole_with_lineage(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    ref = make(store)
    assert store.find("toy", ref.digest) == ref
    manifest = store.manifest(ref)
    assert [entry.path for entry in manifest.files] == ["sub/data.txt"]
    assert manifest.rows == 3
    child = recipe(kind="child", inputs={"toy": ref.digest})
    with store.create(child, [ref]) as draft:
        (draft.path / "x").write_text("x")
    assert store.manifest(draft.committed).recipe.inputs == {"toy": ref.digest}


def test_licences_and_the_mark_of_generated_data_are_inherited(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    with store.create(recipe()) as draft:
        (draft.path / "x").write_text("x")
        draft.licences, draft.generated = ["cite them"], True
    with store.create(recipe(kind="child"), [draft.committed]) as child:
        (child.path / "x").write_text("x")
    manifest = store.manifest(child.committed)
    assert manifest.licences == ("cite them",)
    assert manifest.generated


def test_nothing_is_visible_when_the_writer_fails(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    with pytest.raises(RuntimeError), store.create(recipe()) as draft:
        (draft.path / "x").write_text("x")
        raise RuntimeError
    assert store.find("toy", recipe().digest) is None
    assert list((tmp_path / "toy").iterdir()) == []
    with pytest.raises(ArtifactError, match="found one that is being written"):
        _ = draft.committed


@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "manifest", "no manifest"])
def test_damage_is_a_miss_and_is_mended_by_making_again(tmp_path: Path, harm: str) -> None:
    store = ArtifactStore(tmp_path)
    ref = make(store)
    folder = store.folder("toy", ref.digest)
    data = folder / "sub" / "data.txt"
    if harm == "flip":
        data.write_text("jello")
    elif harm == "cut":
        data.write_text("hell")
    elif harm == "remove":
        data.unlink()
    elif harm == "manifest":
        (folder / MANIFEST).write_text((folder / MANIFEST).read_text()[:-30])
    else:
        (folder / MANIFEST).unlink()
    assert store.find("toy", ref.digest) is None
    assert make(store) == ref
    assert store.find("toy", ref.digest) == ref


def test_shallow_depth_trusts_bytes_of_the_right_size(tmp_path: Path) -> None:
    ref = make(ArtifactStore(tmp_path))
    (tmp_path / "toy" / ref.digest / "sub" / "data.txt").write_text("jello")
    assert ArtifactStore(tmp_path, Depth.SIZES).find("toy", ref.digest) == ref
    assert ArtifactStore(tmp_path, Depth.HASHES).find("toy", ref.digest) is None


def test_two_writers_of_one_digest_agree_or_the_second_is_refused(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    refs: list[ArtifactRef] = []
    threads = [threading.Thread(target=lambda: refs.append(make(store))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refs) == 4
    assert len({ref.sha256 for ref in refs}) == 1
    with pytest.raises(ArtifactConflictError, match="not deterministic"):
        make(store, "other")
    assert store.find("toy", refs[0].digest) == refs[0]


def test_of_two_artifacts_that_hold_measured_times_the_first_stands(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    made = recipe(kind="report")
    with store.create(made) as slow:
        (slow.path / "page").write_text("1.3 s")
        first = make(store, "1.2 s", made)
    assert slow.committed == first
    assert store.find("report", made.digest) == first


def test_an_artifact_under_another_name_is_a_miss(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    ref = make(store)
    other = recipe(parameters={"a": 2})
    store.folder("toy", ref.digest).rename(store.folder("toy", other.digest))
    assert store.find("toy", other.digest) is None
    assert store.manifests("toy") == []
    assert make(store, "two", other).digest == other.digest
    assert store.find("toy", other.digest) is not None


def test_a_file_that_became_a_link_is_damage(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")
    ref = make(store)
    sub = store.folder("toy", ref.digest) / "sub"
    sub.rename(tmp_path / "elsewhere")
    sub.symlink_to(tmp_path / "elsewhere")
    assert store.find("toy", ref.digest) is None


def test_select_by_prefix_and_newest(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    make(store)
    second = make(store, made=recipe(parameters={"a": 2}))
    assert store.select("toy", "latest") == second
    assert store.select("toy", second.digest[:12]) == second
    with pytest.raises(ArtifactError, match="found 0"):
        store.select("toy", "zz")


WRITER = """
import os, signal, sys
from pathlib import Path
from storage.artifacts.manifest import Recipe
from storage.artifacts.store import ArtifactStore
store = ArtifactStore(Path(sys.argv[1]))
recipe = Recipe(kind="toy", schema_version=1, parameters={"a": 1}, inputs={}, code="c")
with store.create(recipe) as draft:
    (draft.path / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_latest_is_the_last_one_made_though_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        years = iter((2026, 2027, 2020, 2020))

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime(next(cls.years), 1, 1, tzinfo=tz)

    monkeypatch.setattr(store_module, "datetime", Clock)
    store = ArtifactStore(tmp_path)
    made = [make(store, made=recipe(parameters={"a": number})) for number in range(4)]
    times = [store.manifest(ref).created_at for ref in made]
    assert times == sorted(set(times))
    assert store.select("toy") == made[-1]


def test_draft_of_a_killed_process_is_swept(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", WRITER, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "toy").iterdir())) == 1
    store = ArtifactStore(tmp_path)
    ref = make(store)
    assert [path.name for path in (tmp_path / "toy").iterdir()] == [ref.digest]


def test_draft_of_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    with store.create(recipe()) as slow:
        (slow.path / "data").write_text("half")
        quick = make(store, made=recipe(parameters={"a": 2}))
        (slow.path / "more").write_text("rest")
    assert store.find("toy", quick.digest) == quick
    assert store.find("toy", slow.digest) == slow.committed
    assert {path.name for path in (tmp_path / "toy").iterdir()} == {quick.digest, slow.digest}


FULL = """
import resource, sys, signal
from pathlib import Path
from storage.artifacts.manifest import Recipe
from storage.artifacts.store import ArtifactStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = ArtifactStore(Path(sys.argv[1]))
recipe = Recipe(kind="toy", schema_version=1, parameters={"a": 1}, inputs={}, code="c")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
with store.create(recipe) as draft:
    (draft.path / "big").write_bytes(bytes(100_000))
"""


def test_full_disk_is_a_typed_error_and_leaves_nothing(tmp_path: Path) -> None:
    failed = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], check=False, capture_output=True, text=True)
    assert StorageFullError.__name__ in failed.stderr
    assert "finished steps are kept" in failed.stderr
    assert list((tmp_path / "toy").iterdir()) == []


def test_unwritable_output_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageUnwritableError, match="MARQUEE_HOME"), ArtifactStore(tmp_path / "file").create(recipe()):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
