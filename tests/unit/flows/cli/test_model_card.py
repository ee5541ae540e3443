"""`marquee model-card`: the card of a published policy, whose code runs."""

import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from typer.testing import CliRunner, Result

from flows.cli import app
from storage.artifacts.aliases import move_alias
from storage.artifacts.manifest import Recipe
from storage.artifacts.object_stores import open_store
from storage.artifacts.publishing import publish
from storage.artifacts.store import ArtifactRef, ArtifactStore


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["model-card", *arguments])


def made(maker: Path, kind: str, inputs: dict[str, str], facts: dict[str, Any], *licences: str) -> ArtifactRef:
    recipe = Recipe(kind=kind, schema_version=1, parameters={}, inputs=inputs, code="")
    with ArtifactStore(maker / "artifacts").create(recipe) as draft:
        (draft.path / "file").write_text("x")
        draft.facts, draft.licences, draft.generated = facts, list(licences), True
    return draft.committed


def test_the_card_has_data_terms_metrics_with_intervals_and_limits(published: str, tmp_path: Path) -> None:
    store, maker = open_store(published), tmp_path / "maker"
    dataset = made(maker, "dataset", {}, {"users": 1234, "items": 40, "events": 5678})
    policy = made(
        maker, "policy", {"dataset": dataset.digest}, {"learner": "td3", "validation_ndcg@10": 0.0123}, "Cite | me\n# x"
    )
    row = {"method": "td3", "kind": "policy", "NDCG@10": 0.0456, "95 %": "0.0400 to 0.0512"}
    report = made(maker, "report", {"policies.td3": policy.digest}, {"methods": [row], "headline": "td3 is better."})
    for ref in (dataset, policy, report):
        publish(store, ArtifactStore(maker / "artifacts"), ref)
    move_alias(store, report, "latest", {})
    done = run(f"policy@{policy.digest}", "--out", str(tmp_path / "card.md"))
    assert done.exit_code == 0, done.output
    card = (tmp_path / "card.md").read_text()
    for part in (
        f"# Policy td3, {policy.digest[:12]}\n", "1,234 users, 40 items, 5,678 events", "- Terms: Cite \\| me # x\n",
        "| td3 | policy | 0.0456 | 0.0400 to 0.0512 |", "NDCG@10 on validation users: 0.0123", "td3 is better.",
        "The ratings are generated", "Learnt from logged choices alone", f"`{policy.digest}`"[1:-1],
    ):  # fmt: skip
        assert part in card
    page = MarkdownIt("commonmark").enable("table").render(card)
    assert page.count("<table>") == 3
    assert "<th>NDCG@10</th>" in page
    assert "\\" not in page


def test_text_from_elsewhere_brings_no_markdown(published: str, tmp_path: Path) -> None:
    store, maker, evil = open_store(published), tmp_path / "maker", "[win](http://x.example) <b>now</b>"
    policy = made(maker, "policy", {}, {"learner": evil, "selected_by": evil}, evil)
    report = made(maker, "report", {evil: policy.digest}, {"methods": [{evil: evil}], "headline": f"# {evil}"})
    for ref in (policy, report):
        publish(store, ArtifactStore(maker / "artifacts"), ref)
    move_alias(store, report, "latest", {})
    done = run(f"policy@{policy.digest}")
    assert done.exit_code == 0, done.output
    assert r"- Terms: \[win\](http\://x\.example) \<b\>now\</b\>" in done.output
    assert "\n\\# " in done.output
    for part in ("[win", "<b>", "http:"):
        assert len(re.findall(rf"(?<!\\){re.escape(part)}", done.output)) == 0


@pytest.mark.parametrize(
    ("kind", "facts", "where"),
    [
        ("policy", {"questions": [{"question": "next"}]}, "questions.0.shares"),
        ("policy", {"updates": "many"}, "updates"),
        ("report", {"methods": [{"method": []}], "headline": "x"}, "methods.0.method"),
        ("report", {}, "methods"),
    ],
)
def test_facts_that_no_version_of_marquee_wrote_are_refused_by_name(
    published: str, tmp_path: Path, kind: str, facts: dict[str, Any], where: str
) -> None:
    store, maker = open_store(published), tmp_path / "maker"
    policy = made(maker, "policy", {}, {"learner": "td3"} | (facts if kind == "policy" else {}))
    report = made(maker, "report", {"policies.x": policy.digest}, facts if kind == "report" else {})
    for ref in (policy, report):
        publish(store, ArtifactStore(maker / "artifacts"), ref)
    move_alias(store, report, "latest", {})
    found = run(f"policy@{policy.digest}")
    assert found.exit_code == 1
    assert "ArtifactError" in found.output
    assert f"found {where}" in " ".join(found.output.split())


def test_the_code_of_the_card_recommends(published: str, capsys: pytest.CaptureFixture[str]) -> None:
    done = run()
    assert done.exit_code == 0, done.output
    assert "No published report evaluates this policy." in done.output
    (code,) = re.findall(r"^```python\n(.*?)^```", done.output, re.M | re.S)
    assert len(code.splitlines()) == 5
    exec(code.replace("a title", "Heat"), {})  # noqa: S102
    assert "movie_id=" in capsys.readouterr().out


def test_another_kind_and_an_unknown_policy_are_refused(published: str) -> None:
    assert "UnknownAliasError" in run("policy@none").output
    assert run("dataset@latest").exit_code == 1
