"""The command line: which modules a command loads, and how it reports errors."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app
from storage.artifacts.aliases import move_alias, read_alias
from storage.artifacts.manifest import Recipe
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactStore

COMMANDS = [command.name or "" for command in app.registered_commands]
HEAVY = (
    "torch",
    "prefect",
    "transformers",
    "great_expectations",
    "sklearn",
    "scipy",
    "pandas",
    "numpy",
    "dask",
    "h5py",
)


def heavy_modules(*arguments: str, folder: Path) -> list[str]:
    """The slow modules that a command has imported by its end."""
    command = [sys.executable, "-X", "importtime", "-m", "flows.cli", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    imported = set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.M))
    assert "typer" in imported
    return [name for name in HEAVY if name in imported]


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_no_slow_module(command: str, tmp_path: Path) -> None:
    assert heavy_modules(*filter(None, [command]), "--help", folder=tmp_path) == []


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A folder with a published policy."""
    artifacts = ArtifactStore(tmp_path / "home")
    with artifacts.create(Recipe(kind="policy", schema_version=1, parameters={}, inputs={}, code="c")) as draft:
        (draft.path / "a.bin").write_text("weights")
    store = open_store(str(tmp_path / "published"))
    publish(store, artifacts, draft.committed)
    move_alias(store, draft.committed, "latest", {})
    return tmp_path / "published"


def test_pull_loads_no_slow_module(published: Path, tmp_path: Path) -> None:
    assert heavy_modules("pull", "policy@latest", "--from", str(published), folder=tmp_path) == []
    assert len(list((tmp_path / "pulled" / "policy").glob("*/a.bin"))) == 1


def test_rollback_moves_the_alias_back_and_loads_no_slow_module(published: Path, tmp_path: Path) -> None:
    artifacts, store = ArtifactStore(tmp_path / "home"), open_store(str(published))
    recipe = Recipe(kind="policy", schema_version=1, parameters={"seed": 1}, inputs={}, code="c")
    with artifacts.create(recipe) as draft:
        (draft.path / "a.bin").write_text("worse")
    publish(store, artifacts, draft.committed)
    (first,) = [alias[0].digest for alias in [read_alias(store, "policy", "latest")] if alias]
    move_alias(store, draft.committed, "latest", {})
    assert heavy_modules("rollback", "policy@latest", "--from", str(published), folder=tmp_path) == []
    alias = read_alias(store, "policy", "latest")
    assert alias is not None
    assert alias[0].digest == first
    refused = CliRunner().invoke(app, ["rollback", "policy@latest", "--from", str(published)])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("\nRollbackError: ")


def test_an_error_for_users_is_printed_without_a_traceback(published: Path, tmp_path: Path) -> None:
    to = ["--from", str(published), "--to", str(tmp_path / "pulled")]
    failed = CliRunner().invoke(app, ["pull", "policy@champion", *to])
    assert failed.exit_code == 1
    assert failed.stderr.startswith("\nUnknownAliasError: ")
    assert isinstance(failed.exception, SystemExit)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build-dataset", "--profile", "nothing"], "ProfileError: nothing: expected a profile (ml-20m, "),
        (["train-policy", "--device", "tpu"], "--device: expected one of auto, cpu, cuda; found tpu."),
        (["retrain", "--device", "tpu"], "--device: expected one of auto, cpu, cuda; found tpu."),
        (
            ["export", "--dataset", "x", "--out", "y", "--dtype", "int8"],
            "--dtype: expected one of float32, float16; found",
        ),
        (["export", "--dataset", "x", "--out", "y", "--splits", "train,tset"], "--splits: expected one of train, "),
        (
            ["rollback", "champion", "--from", "x"],
            "champion: expected <kind>@<alias>, e.g. policy@champion; found another form",
        ),
        (["publish", "--set", "publish.champion=sometimes"], "publish.champion: "),
    ],
)
def test_a_wrong_option_is_refused_before_anything_runs(arguments: list[str], message: str) -> None:
    failed = CliRunner().invoke(app, arguments, env={"COLUMNS": "300", "TERMINAL_WIDTH": "300"})
    assert failed.exit_code in (1, 2)
    said = " ".join(failed.stderr.replace("│", " ").split())
    assert message in said
    assert "Traceback" not in said
