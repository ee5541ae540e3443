"""A gate stops a flow unless the verdict on its table is a pass."""

from pathlib import Path

import pytest

import tasks.gates
from expectations.verdict import Failure, Verdict
from storage.artifacts.manifest import Recipe
from storage.artifacts.store import ArtifactRef
from tasks.caching import artifact_store
from tasks.gates import GateError, keep, pass_gate

FAILURE = Failure(
    expectation="expect_column_values_to_be_unique", column="movie_id", severity="critical", why="The key.",
    unexpected=2, found=None, examples=({"movie_id": 7},),
)  # fmt: skip


def verdict(rows: int = 3, failures: tuple[Failure, ...] = (), warnings: tuple[Failure, ...] = ()) -> Verdict:
    return Verdict(
        suite="movies",
        rows=rows,
        expectations=1,
        passed=bool(rows) and not failures,
        failures=failures,
        warnings=warnings,
    )


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that gates show in Prefect's UI; there is no server here."""
    texts: list[str] = []
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path))
    monkeypatch.setattr(tasks.gates, "create_markdown_artifact", lambda markdown, **_: texts.append(markdown))
    return texts


def validation(judged: Verdict) -> ArtifactRef:
    recipe = Recipe(kind="validation-movies", schema_version=1, parameters={}, inputs={}, code="")
    with artifact_store().create(recipe) as draft:
        (draft.path / "validation.json").write_text(judged.model_dump_json())
        keep(draft, judged)
    return draft.committed


@pytest.mark.parametrize("judged", [verdict(), verdict(warnings=(FAILURE,))], ids=["good", "warning"])
def test_a_pass_lets_the_flow_go_on(shown: list[str], judged: Verdict) -> None:
    pass_gate.fn("movies", validation(judged))
    assert "passed" in shown[0]


@pytest.mark.parametrize(
    ("judged", "message"),
    [
        (verdict(rows=0), "movies: expected rows; found an empty table"),
        (verdict(failures=(FAILURE,)), r"(?s)unique\(movie_id\): 2 unexpected. The key.*\"movie_id\": 7"),
    ],
    ids=["empty", "failed"],
)
def test_a_failure_stops_the_flow_and_is_shown(shown: list[str], judged: Verdict, message: str) -> None:
    with pytest.raises(GateError, match=message):
        pass_gate.fn("movies", validation(judged))
    assert len(shown) == 1
