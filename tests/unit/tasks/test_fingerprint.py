"""A digest depends on all code that a task reaches, and not on comments, places or unused names."""

import gc
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests_support import REPOSITORY

import tasks.crawl
import tasks.evaluate
import tasks.export
import tasks.extend
import tasks.features
import tasks.gates
import tasks.ingest
import tasks.texts
import tasks.train
from tasks.fingerprint import INFRASTRUCTURE, code_fingerprint, function_code, module_tree, parsed, shaping_modules


@pytest.mark.parametrize(
    ("function", "module"),
    [
        (tasks.ingest.make_events, "storage.sources.movielens.ratings_parsing"),
        (tasks.ingest.make_movies, "storage.sources.metadata.join"),
        (tasks.features.make_items, "models.encoders.blocks.collaborative"),
        (tasks.features.make_items, "models.encoders.reduce"),
        (tasks.texts.encode_movies, "models.encoders.text_encoders.transformer"),
        (tasks.gates.validate_events, "expectations.validate"),
        (tasks.gates.validate_events, "expectations.profiles"),
        (tasks.gates.validate_movies, "expectations.movies"),
        (tasks.export.make_dataset, "storage.dataset.writer"),
        (tasks.extend.make_extended_dataset, "storage.dataset.extension"),
        (tasks.train.train_learner, "models.learners.td3"),
        (tasks.evaluate.make_report, "evaluation.report.figures"),
        (tasks.crawl.make_responses, "storage.sources.web.tmdb_api"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_shapes_an_artifact_is_found_however_far_it_is(function: Callable[..., Any], module: str) -> None:
    assert module in shaping_modules(function)


def test_other_stages_and_infrastructure_do_not_count() -> None:
    found = shaping_modules(tasks.export.make_dataset)
    assert not any(name.startswith(("models", "evaluation", "flows")) for name in found)
    assert not found & INFRASTRUCTURE.keys()
    for name in INFRASTRUCTURE:
        assert module_tree(name).body


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
    before = code_fingerprint(load(tmp_path, BASE))
    assert (code_fingerprint(load(tmp_path, changed)) == before) == same
    assert "FACTOR" in function_code(load(tmp_path, BASE))


def test_reached_modules_count(tmp_path: Path) -> None:
    using = "from models import policy\n" + BASE.replace("helper(x)\n", "helper(policy.Policy)\n")
    idle = "from models import policy\n" + BASE
    assert "models.networks" in shaping_modules(load(tmp_path, using))
    assert shaping_modules(load(tmp_path, idle)) == set()
    assert "stage" not in sys.modules


CHANGE_A_SUITE = """
from pathlib import Path
import tasks.gates
from tasks.fingerprint import code_fingerprint, imports_of, module_fingerprint

def fingerprints():
    imports_of.cache_clear(), module_fingerprint.cache_clear()
    return [code_fingerprint(getattr(tasks.gates, name)) for name in ("validate_movies", "validate_events")]

before = fingerprints()
for name, old, new in (("movies", "mostly=0.5", "mostly=0.4"), ("validate", "EXAMPLES = 5", "EXAMPLES = 6")):
    path = Path("expectations") / f"{name}.py"
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    print(name, *(a == b for a, b in zip(before, fingerprints(), strict=True)))
    path.write_text(text)
"""


def test_a_changed_suite_or_validation_changes_its_results_alone(tmp_path: Path) -> None:
    for package in ("tasks", "serving", "models", "expectations", "evaluation", "storage"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", CHANGE_A_SUITE]
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=600)
    assert done.stdout.splitlines() == ["movies False True", "validate False False"], done.stderr


def test_threads_may_parse_at_once() -> None:
    """Python switches threads while it makes a tree if a destructor of garbage runs then."""

    class Slow:
        def __init__(self) -> None:
            self.own = self

        def __del__(self) -> None:
            sum(range(50))

    def parse_some(_: int) -> None:
        for _ in range(10):
            Slow()
            parsed(Path(__file__))

    interval, threshold = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(1e-6)
    gc.set_threshold(5, 2, 2)
    try:
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(parse_some, range(12)))
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*threshold)
