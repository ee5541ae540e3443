"""`marquee recommend`: a table for people, JSON for programs, a question where a title is in doubt."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from tests_support import REPOSITORY
from typer.testing import CliRunner, Result

from flows.cli import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["recommend", *arguments])


def test_a_table_has_title_year_score_and_reason(published: str, tmp_path: Path) -> None:
    (tmp_path / "my.csv").write_text("title,rating\nHeat (1995),5\nThe Matrix,4.5\n")
    done = run("--ratings", str(tmp_path / "my.csv"), "-k", "3")
    assert done.exit_code == 0, done.output
    for part in ("title", "year", "score", "why", "Heat (5)", "The Matrix (4.5)", "Ranked by policy@champion ("):
        assert part in done.output
    assert [line.split()[0] for line in done.output.splitlines() if line[:5].strip().isdigit()] == ["1", "2", "3"]


def test_json_is_an_array_of_objects_and_warnings_are_not_in_it(published: str, tmp_path: Path) -> None:
    done = run("--from", published, "--rate", "Heat=5", "--rate", "Solaris=1", "--rate", "zzz=3", "-k", "4", "--json")
    found = json.loads(done.stdout)
    assert len(found) == 4
    assert {"movie_id", "title", "score", "year", "value", "because"} <= found[0].keys()
    assert done.stderr == "Left out, because no item or several have this title: 'Solaris', 'zzz'.\n"
    folder = next((tmp_path / "home" / "foreign").glob("*/policy/*"))
    again = run("--from", str(folder), "--rate", "Heat=5", "-k", "4", "--json")
    assert json.loads(again.stdout) == found


def test_without_ratings_popular_items_are_shown_and_this_is_said(published: str) -> None:
    done = run("-k", "2", "--year-from", "1999", "--genre", "sci-fi")
    assert "Ordered by popularity, because there are no ratings." in done.output
    assert "The Matrix" in done.output
    assert "The Matrix Reloaded" in done.output
    assert "Solaris" not in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rate", "Heat=9"], "RatingError: history.0.rating: expected one of 0.5, 1 … 5; found 9"),
        (["--rate", "Heat"], "RatingsFileError: Heat: expected TITLE=RATING"),
        (["--policy", "policy@none"], "UnknownAliasError"),
        (["--method", "nothing"], "UnknownMethodError: baselines: expected names among"),
        (["--method", "ease"], "UnknownAliasError"),  # the dataset is not published
        (["--distance", "hamming"], "expected one of euclidean, cosine"),
        (["-k", "0"], "-k"),
        (["-k", "1000000"], "-k"),
        (["--critic-weight", "1", "--method", "popularity"], "UnsuitableMethodError: critic_weight: expected a policy"),
        (["--critic-weight", "nan"], "--critic-weight"),
        (["--diversity", "nan"], "--diversity"),
        (["--year-from", "-5"], "year_from: Input should be"),
    ],
)
def test_what_cannot_be_answered_is_said_without_a_traceback(
    published: str, arguments: list[str], message: str
) -> None:
    done = run(*arguments)
    assert done.exit_code in (1, 2)
    assert message in done.output
    assert "Traceback" not in done.output


def test_a_person_is_asked_which_title_is_meant(published: str, tmp_path: Path) -> None:
    mine, theirs = pty.openpty()
    command = [sys.executable, "-m", "flows.cli", "recommend", "--rate", "Solaris=5", "--rate", "Heet=4", "-k", "2"]
    env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    os.write(mine, b"2\n0\n")
    done = subprocess.run(
        command, stdin=theirs, env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    os.close(mine)
    os.close(theirs)
    assert done.returncode == 0, done.stderr
    for part in ("'Solaris' may be:", "1  Solaris (1972)", "2  Solaris (2002)", "'Heet' may be:", "1  Heat (1995)"):
        assert part in done.stdout
    assert "Solaris (5)" in done.stdout
    assert "have this title: 'Heet'." in done.stderr
