"""Every mutant still fits the code, and the tests that it names notice it."""

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from tests_support import REPOSITORY

spec = importlib.util.spec_from_file_location("mutants", REPOSITORY / "benchmarks" / "mutants.py")
assert spec is not None
assert spec.loader is not None
mutants: Any = importlib.util.module_from_spec(spec)
sys.modules["mutants"] = mutants
spec.loader.exec_module(mutants)
MUTANTS, Mutant = mutants.MUTANTS, mutants.Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place_and_names_tests_that_exist(mutant: Any) -> None:
    assert (REPOSITORY / mutant.file).read_text().count(mutant.old) == 1
    assert mutant.new != mutant.old
    for test in mutant.tests.split():
        file, *names = test.split("::")
        text = (REPOSITORY / file).read_text()
        assert all(re.search(rf"^def {re.escape(name.partition('[')[0])}\(", text, re.MULTILINE) for name in names)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mutants.copy_of(tmp_path_factory.mktemp("tree"))


@pytest.mark.nightly
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_killed(tree: Path, mutant: Any) -> None:
    assert mutants.outcome_of(mutant, tree).startswith("killed")


@pytest.mark.nightly
def test_a_change_without_effect_survives_and_a_stale_one_is_reported(tree: Path) -> None:
    here = "tests/unit/storage/test_tables.py"
    harmless = Mutant("harmless", "storage/tables.py", "# PG-13, R …", "# PG-13", here)
    fatal = Mutant("fatal", "storage/tables.py", "reshape(-1, width)", "reshape(width, -1)", here)
    assert mutants.outcome_of(harmless, tree) == "SURVIVED"
    assert mutants.outcome_of(fatal, tree).startswith("killed by test_embeddings_come_back")
    assert mutants.outcome_of(fatal._replace(old="no such text"), tree).startswith("STALE")
    assert mutants.outcome_of(fatal._replace(tests="no/such_test.py"), tree).startswith("NOT RUN")
    assert (tree / "storage/tables.py").read_text() == (REPOSITORY / "storage/tables.py").read_text()
