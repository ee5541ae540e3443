"""What a digest depends on: all code that is reached; never comments, places or names nobody uses."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tasks.crawl
import tasks.evaluate
import tasks.export
import tasks.extend
import tasks.features
import tasks.gates
import tasks.ingest
import tasks.texts
import tasks.train
from tasks.fingerprint import INFRASTRUCTURE, code_fingerprint, function_code, module_tree, shaping_modules


@pytest.mark.parametrize(
    ("function", "module"),
    [
        (tasks.ingest.make_events, "storage.sources.ratings_parsing"),
        (tasks.ingest.make_movies, "storage.sources.metadata"),
        (tasks.features.make_items, "models.encoders.blocks.collaborative"),
        (tasks.features.make_items, "models.encoders.reduce"),
        (tasks.texts.encode_movies, "models.encoders.text"),
        (tasks.gates.judge_events, "expectations.judge"),
        (tasks.export.make_dataset, "storage.transitions_writer"),
        (tasks.extend.make_extended_dataset, "storage.tail"),
        (tasks.train.train_learner, "models.learners.td3"),
        (tasks.evaluate.make_report, "evaluation.figures"),
        (tasks.crawl.make_tmdb_responses, "storage.sources.tmdb_api"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_shapes_an_artifact_is_found_however_far_it_is(function: Callable[..., Any], module: str) -> None:
    assert module in shaping_modules(function)


def test_other_stages_and_infrastructure_do_not_count() -> None:
    found = shaping_modules(tasks.export.make_dataset)
    assert not any(name.startswith(("models", "evaluation", "flows")) for name in found)
    assert not found & INFRASTRUCTURE
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
