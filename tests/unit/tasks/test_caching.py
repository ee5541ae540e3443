"""What a digest depends on: named code, reached code, parameters; never comments, places or names nobody uses."""

import ast
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tasks.evaluate
import tasks.export
import tasks.feature_report
import tasks.features
import tasks.gates
import tasks.ingest
import tasks.texts
import tasks.train
from tasks.caching import code_fingerprint, function_code, names_used, reached_definitions

FIRST_PARTY = ("flows", "tasks", "models", "expectations", "evaluation", "storage")
# Modules that place, name, read back or move bytes and numbers, but do not shape them.
INFRASTRUCTURE = {
    "storage.artifacts", "storage.files", "storage.errors", "storage.checkpoints", "tasks.caching", "tasks.progress",
    "tasks.dask_cluster", "tasks.ingest", "models.errors", "models.encoders.errors",
}  # fmt: skip
STAGES = (
    tasks.ingest, tasks.features, tasks.texts, tasks.feature_report, tasks.gates, tasks.export, tasks.train, tasks.evaluate
)  # fmt: skip
ARTIFACT_TASKS = [
    function
    for stage in STAGES
    for function in vars(stage).values()
    if hasattr(function, "modules") and function.__module__ == stage.__name__
]


def module_tree(name: str) -> ast.Module:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return ast.parse(Path(spec.origin).read_text())


def imports_of(name: str) -> set[str]:
    found = set()
    for node in ast.walk(module_tree(name)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in FIRST_PARTY:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if is_module(inner) else node.module)
    return found


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def needed_by(function: Callable[..., Any]) -> set[str]:
    """First-party modules of all that a task's own code reaches, and of what those import."""
    own = function.__wrapped__  # type: ignore[attr-defined]
    names = {name for node in reached_definitions(own).values() for name in names_used(node)}
    waiting = {
        value.__module__
        for name in names
        if (value := own.__globals__.get(name)) is not None and isinstance(getattr(value, "__module__", None), str)
    }
    waiting = {name for name in waiting if name.split(".")[0] in FIRST_PARTY and name != own.__module__}
    needed: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in needed or name in INFRASTRUCTURE:
            continue
        needed.add(name)
        waiting |= imports_of(name)
    return {name for name in needed if has_code(name)}


def has_code(name: str) -> bool:
    return any(not isinstance(node, ast.Expr) for node in module_tree(name).body)


@pytest.mark.parametrize("function", ARTIFACT_TASKS, ids=lambda function: function.__name__)
def test_every_task_names_all_modules_that_shape_its_artifact(function: Callable[..., Any]) -> None:
    assert needed_by(function) - set(function.modules) == set()  # type: ignore[attr-defined]


def test_all_stages_are_looked_at() -> None:
    assert len(ARTIFACT_TASKS) >= 12


def load(folder: Path, text: str) -> Callable[..., Any]:
    (folder / "stage.py").write_text(text)
    spec = importlib.util.spec_from_file_location("stage", folder / "stage.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.work  # type: ignore[no-any-return]


BASE = "FACTOR = 2\ndef helper(x):\n    return x * FACTOR\ndef other():\n    return 1\ndef work(x):\n    return helper(x)\n"


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        (BASE.replace("return helper(x)", "return helper(x) + 1"), False),
        (BASE.replace("x * FACTOR", "x + FACTOR"), False),
        (BASE.replace("FACTOR = 2", "FACTOR = 3"), False),
        (BASE.replace("return 1", "return 2"), True),
        ("# a comment\n" + BASE.replace("def work(x):\n", 'def work(x):\n    """Says what it does."""\n'), True),
    ],
)
def test_fingerprint_follows_code_that_is_reached(tmp_path: Path, changed: str, same: bool) -> None:
    before = code_fingerprint(load(tmp_path, BASE), ())
    assert (code_fingerprint(load(tmp_path, changed), ()) == before) == same
    assert "FACTOR" in function_code(load(tmp_path, BASE))


def test_named_modules_count(tmp_path: Path) -> None:
    work = load(tmp_path, BASE)
    assert code_fingerprint(work, ("models.policy",)) != code_fingerprint(work, ())
    assert "stage" not in sys.modules
