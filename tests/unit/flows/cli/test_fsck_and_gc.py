"""The commands that look after a work directory: their tables, last lines and exit codes."""

import os
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner
from unit.storage.artifacts.publishing_support import make

from flows.cli import app
from storage.artifacts.aliases import move_alias
from storage.artifacts.manifest import MANIFEST
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work directory with two policies, of which one is published as champion; both were used long ago."""
    home = tmp_path / "home"
    monkeypatch.setenv("MARQUEE_HOME", str(home))
    store = open_store(str(tmp_path / "published"))
    for seed in range(2):
        own, ref = make(home / "artifacts", seed=seed)
    publish(store, own, ref)
    move_alias(store, ref, "champion", {})
    for path in home.rglob(MANIFEST):
        os.utime(path, (0, time.time() - 90 * 86_400))
    return home


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


def test_fsck_finds_damage_and_repairs_it(home: Path, tmp_path: Path) -> None:
    assert run("fsck").endswith("Whole: 2 policy.\nDamaged: 0.\n")
    data = next((home / "artifacts").glob("*/*/a.bin"))
    data.write_bytes(b"x" + data.read_bytes()[1:])
    shown = run("fsck", code=1)
    assert str(data.parent) in shown
    assert "Damaged: 1.\nTo repair what can be repaired: the same command with --repair\n" in shown
    assert "Damaged: 0 after the repair." in run("fsck", "--repair")
    assert run("fsck").endswith("Whole: 1 policy.\nDamaged: 0.\n")


def test_fsck_of_what_is_published(home: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "published")
    assert run("fsck", "--from", place).endswith("Whole: 1 alias, 1 policy.\nDamaged: 0.\n")
    next((tmp_path / "published").rglob("a.bin")).write_text("torn")
    assert "Damaged: 1." in run("fsck", "--from", place, code=1)
    assert "published again from this work" in run("fsck", "--from", place, "--repair")
    assert "Damaged: 0." in run("fsck", "--from", place)


def test_gc_shows_first_and_removes_on_request(home: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "published")
    assert run("gc", "--from", place, "--keep-days", "100") == "Not needed: 0, 0 bytes.\n"
    shown = run("gc", "--from", place)
    assert "Not needed: 1, 7.0 kB.\nNothing was removed. To remove it: the same command with --delete\n" in shown
    assert len(list((home / "artifacts" / "policy").iterdir())) == 2
    assert "Removed: 1, 7.0 kB." in run("gc", "--from", place, "--delete")
    assert len(list((home / "artifacts" / "policy").iterdir())) == 1
    assert "Removed: 0" in run("gc", "--from", place, "--delete")
