"""`marquee doctor`: what it prints, and its exit code."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.cli import app


@pytest.mark.parametrize("to", ["published", "file/in the way"])
def test_the_exit_code_says_whether_a_check_failed(tmp_path: Path, to: str) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["doctor", "--to", str(tmp_path / to), "--json"]
    done = CliRunner().invoke(app, arguments, env={"MARQUEE_HOME": str(tmp_path), "PREFECT_API_URL": ""})
    found = {finding["check"]: finding for finding in json.loads(done.stdout)}
    failed = [check for check, finding in found.items() if finding["status"] == "fail"]
    assert failed == (["publish"] if to.startswith("file") else [])
    assert done.exit_code == bool(failed)
    assert bool(found["publish"]["next_step"]) == bool(failed)


def test_the_table_has_a_line_for_each_check(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["doctor"], env={"MARQUEE_HOME": str(tmp_path), "COLUMNS": "120"})
    assert "work directory │ ok" in done.stdout
    assert "text encoder   │ ok" in done.stdout
