"""A gate stops a flow unless its table passed the validation."""

import pytest
from small_artifacts_support import making

import tasks.gates
from expectations.validation_result import Failure, ValidationResult
from storage.artifacts.store import ArtifactRef
from tasks.gates import GateError, keep, pass_gate

FAILURE = Failure(
    expectation="expect_column_values_to_be_unique", column="movie_id", severity="critical", why="The key.",
    unexpected=2, found=None, examples=({"movie_id": 7},),
)  # fmt: skip


def result(rows: int = 3, failures: tuple[Failure, ...] = (), warnings: tuple[Failure, ...] = ()) -> ValidationResult:
    return ValidationResult(
        suite="movies",
        rows=rows,
        expectations=1,
        passed=bool(rows) and not failures,
        failures=failures,
        warnings=warnings,
    )


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that gates show in Prefect's UI; there is no server here."""
    texts: list[str] = []
    monkeypatch.setattr(tasks.gates, "show_text", lambda _key, markdown, _description: texts.append(markdown))
    return texts


def validation(validated: ValidationResult) -> ArtifactRef:
    with making("validation-movies") as draft:
        (draft.path / "validation.json").write_text(validated.model_dump_json())
        keep(draft, validated)
    return draft.committed


@pytest.mark.parametrize("validated", [result(), result(warnings=(FAILURE,))], ids=["good", "warning"])
def test_a_pass_lets_the_flow_go_on(shown: list[str], validated: ValidationResult) -> None:
    pass_gate.fn("movies", validation(validated))
    assert "passed" in shown[0]


@pytest.mark.parametrize(
    ("validated", "message"),
    [
        (result(rows=0), "movies: expected rows; found an empty table"),
        (result(failures=(FAILURE,)), r"(?s)unique\(movie_id\): 2 unexpected. The key.*\"movie_id\": 7"),
    ],
    ids=["empty", "failed"],
)
def test_a_failure_stops_the_flow_and_is_shown(shown: list[str], validated: ValidationResult, message: str) -> None:
    with pytest.raises(GateError, match=message):
        pass_gate.fn("movies", validation(validated))
    assert len(shown) == 1
