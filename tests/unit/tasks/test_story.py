"""The summary of a flow's run in the Prefect UI."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_artifacts_support import making

import tasks.story
from storage.artifacts.store import ArtifactRef
from storage.errors import SourceError
from tasks.caching import artifact_store
from tasks.steps import Run, in_words, mark_made, timed
from tasks.story import add_section, link, summary, with_summary

PIXEL = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARQUEE_HOME_URL", raising=False)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The markdown artifacts by key; there is no Prefect server here."""
    texts: dict[str, str] = {}
    monkeypatch.setattr(
        tasks.story, "create_markdown_artifact", lambda key, markdown, description: texts.update({key: quick(markdown)})
    )
    return texts


def quick(markdown: str) -> str:
    """A summary with times as if the machine were fast."""
    return re.sub(r"\b\d+\.\d s\b", "0.0 s", markdown)


def artifact(kind: str, inputs: dict[str, str] | None = None, **facts: Any) -> ArtifactRef:
    with making(kind, {"facts": str(facts)}, inputs) as draft:
        (draft.path / "verdict.png").write_bytes(PIXEL)
        draft.rows, draft.facts = 1234, facts
    return draft.committed


def step(kind: str, made: bool = True, inputs: dict[str, str] | None = None, **facts: Any) -> ArtifactRef:
    def work() -> ArtifactRef:
        if made:
            mark_made()
        return artifact(kind, inputs, **facts)

    return timed(kind, work, artifact_store())


def validation(passed: bool) -> ArtifactRef:
    return step("validation-events", suite="events", passed=passed, rows=60, warnings=[], failures=[])


def test_a_run_says_what_it_made_from_what_and_what_was_cached(shown: dict[str, str]) -> None:
    @with_summary
    def build_dataset() -> str:
        add_section("Made from", "ratings.csv")
        step("events", made=False)
        validation(passed=True)
        step(
            "dataset", inputs={"events": "e" * 32, "items": "1" * 32}, users=60, items=120, events=1540, transitions=940
        )
        return "done"

    assert build_dataset() == "done"
    text = shown["build-dataset-summary"]
    assert text.startswith("**Completed in 0.0 s: 2 artifacts made, 1 used again.**")
    assert "## Made from\n\nratings.csv" in text
    assert "| events | 1,234 | 8 bytes | – | cached |" in text
    assert "| dataset | 1,234 | 8 bytes | events, items | 0.0 s |" in text
    assert "| 60 | 120 | 1,540 | 940 |" in text
    assert "| events | passed | 60 | 0 | [open](file:///" in text


def test_a_summary_includes_those_of_subflows(shown: dict[str, str]) -> None:
    @with_summary
    def train_policy() -> None:
        facts = {"validation_ndcg@10": 0.25, "updates": 3000, "selected_update": 2000, "warnings": []}
        step("policy", learner="td3", **facts)

    @with_summary
    def retrain() -> None:
        step("texts")
        train_policy()

    retrain()
    assert "texts" not in shown["train-policy-summary"]
    assert "| td3 | 0.2500 | 3,000 | 2,000 | 0 |" in shown["retrain-summary"]
    assert "2 artifacts made" in shown["retrain-summary"]
    assert "| policy td3 |" in shown["retrain-summary"]


@pytest.mark.parametrize(
    ("error", "seen"), [(SourceError("no file"), "SourceError: no file"), (ValueError("key=SECRET"), "ValueError")]
)
def test_a_failed_run_says_why_but_shows_no_message_that_may_hold_a_secret(
    shown: dict[str, str], error: Exception, seen: str
) -> None:
    @with_summary
    def build_dataset() -> None:
        step("events")
        raise error

    with pytest.raises(type(error)):
        build_dataset()
    text = shown["build-dataset-summary"]
    assert text.startswith(f"**Failed with {type(error).__name__} after 0.0 s: 1 artifacts made")
    assert seen in text
    assert "SECRET" not in text


def test_a_summary_that_fails_does_not_fail_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(**_: str) -> None:
        raise OSError

    monkeypatch.setattr(tasks.story, "create_markdown_artifact", broken)
    assert with_summary(lambda: 7)() == 7
    assert "could not be shown: OSError" in caplog.text


def test_a_report_is_told_with_its_chart_its_methods_and_their_costs() -> None:
    run = Run("evaluate-policy", [], [])
    token = tasks.story.current_run.set(run)
    methods = [{"method": "td3", "kind": "policy", "NDCG@10": 0.25, "95 %": "0.2 – 0.3", "a": 1, "b": 2, "wide": 3}]
    step("report", markdown="td3 is better.", methods=methods, costs=[{"method": "td3", "seconds": "6.0"}])
    tasks.story.current_run.reset(token)
    text = summary(run, 1.0)
    assert "## Report\n\ntd3 is better." in text
    assert "](data:image/png;base64," in text
    assert "| td3 | policy | 0.2500 | 0.2 – 0.3 | 1 | 2 |" in text
    assert "wide" not in text
    assert "| td3 | 6.0 |" in text
    assert "- report: [" in text


@pytest.mark.parametrize(
    ("served", "address"),
    [(None, "file://{home}/artifacts/report.html"), ("http://host/files/", "http://host/files/artifacts/report.html")],
)
def test_links_lead_to_where_the_work_directory_is_served(
    home: Path, monkeypatch: pytest.MonkeyPatch, served: str | None, address: str
) -> None:
    if served:
        monkeypatch.setenv("MARQUEE_HOME_URL", served)
    assert link(home / "artifacts" / "report.html", "open") == f"[open]({address.format(home=home)})"


def test_facts_in_words_are_one_short_line() -> None:
    facts = {
        "events": 1540, "dropped_repeated": 0, "share": 0.519284, "encoder": "minilm", "blocks": {"text": {"width": 384}},
        "cut": True, "long": "x" * 99,
    }  # fmt: skip
    assert in_words(facts) == "events 1,540, share 0.5193, encoder minilm"


def test_steps_are_timed_outside_flows_too() -> None:
    made: Callable[[], ArtifactRef] = lambda: artifact("events")  # noqa: E731
    assert timed("events", made, artifact_store()).kind == "events"
