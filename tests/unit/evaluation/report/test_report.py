"""The whole report of a small dataset: measured, written, read back, drawn from its JSON alone."""

import json
import re
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from pydantic import ValidationError
from rankings_support import small_dataset

from evaluation.baselines import fit_baselines
from evaluation.evaluate import EvaluateParams, evaluate_and_measure
from evaluation.off_policy.estimates import OffPolicyParams
from evaluation.protocols.population_stability import Events, measure_stability
from evaluation.protocols.promotion import PromotionParams, compare_per_user
from evaluation.report import registry
from evaluation.report.evidence import ComparedMethod, Subject
from evaluation.report.page import template_sha256
from evaluation.report.registry import OPTIONAL, SECTIONS
from evaluation.report.report import (
    Report,
    methods_table,
    pictures,
    read_report,
    render,
    schema_text,
    templates_sha256,
    verdict_markdown,
    write_report,
)
from evaluation.report.sections.cards.numbers import Provenance
from models.networks import Actor, Critics
from models.policy import Policy
from storage.artifacts.manifest import FileEntry, Manifest, Recipe
from storage.dataset.reader import TransitionDataset

DOCS = Path(__file__).parents[4] / "docs"
CHOSEN = {"popularity": {}, "item-knn": {"neighbours": 20, "shrink": 0.0, "last": 10, "decay": 1.0}}
PARAMS = EvaluateParams(
    sample=50, distance_cases=20, map_projection="pca", examples=3,
    off_policy=OffPolicyParams(users=20, draws=20, calibration_steps=100),
)  # fmt: skip
QUICK = PARAMS.model_copy(update={"leave_out": OPTIONAL})
WARNING = {"kind": "values-explode", "step": 200, "message": "the policy's value is <beyond> bounds."}


def manifest(kind: str, generated: bool = False, **facts: object) -> Manifest:
    recipe = Recipe(
        kind=kind,
        schema_version=1,
        parameters={
            "frame": facts.get("frame"),
            "config": {"name": facts.get("learner"), "discount": 0.97},
            "trainer": {"steps": 60},
            "seed": 3,
        },
        inputs={} if kind == "dataset" else {"dataset": manifest("dataset", generated).digest},
        code="c0de",
    )
    files = (FileEntry(path="data", size_bytes=1, sha256="5" * 64),)
    return Manifest(
        digest=recipe.digest, recipe=recipe, files=files, sha256="5" * 64, rows=1, facts=facts, licences=("cite <them>",),
        generated=generated, versions={}, created_at="2026-11-28T10:00:00+00:00", seconds=12.5,
    )  # fmt: skip


def subject(data: TransitionDataset, **changes: object) -> Subject:
    facts = {"updates": 60, "selected_update": 40, "selected_by": "ndcg@10", "device": "cpu", "warnings": []}
    rows = [(step, split, "critic_loss", step / 10) for step in range(0, 2000, 10) for split in ("train", "validation")]
    curves = pd.DataFrame(rows, columns=["step", "split", "metric", "value"])
    values = {
        "title": "T",
        "titles": [f"Film {place} </script><b> ({1950 + place})" for place in range(data.items)],
        "groups": [("Drama", "Comedy", "")[place % 3] for place in range(data.items)],
        "simulated": None,
        "dataset": manifest("dataset"),
        "policies": {name: manifest("policy", learner="td3", **facts) for name in ("td3", "other")},
        "curves": {"td3": curves, "other": curves},
        "tuning": [
            {"name": name, "config": config, "validation": {"ndcg@10": 0.07}, "tried": 8, "worst": 0.0123}
            for name, config in CHOSEN.items()
        ],
        "provenance": Provenance(report="d1", code="c0de", inputs=(), parameters={"k": 10}, versions={"python": "3"}),
    } | changes
    return Subject(**values)  # type: ignore[arg-type]


def measured(
    data: TransitionDataset, params: EvaluateParams = PARAMS, **changes: object
) -> tuple[Report, list[pa.Table]]:
    compared_methods = []
    for place, name in enumerate(("td3", "other")):
        torch.manual_seed(place)
        sizes = data.observation_dim, data.dim, 8
        policy = Policy(Actor(*sizes, 2.0), data.embedding, "cosine", Critics(2, *sizes), 20)
        compared_methods.append(ComparedMethod(name, "policy", policy))
    fitted = fit_baselines(data, CHOSEN, max_items=100)
    compared_methods += [ComparedMethod(name, "baseline", scorer) for name, scorer in fitted.items()]
    tables: list[pa.Table] = []
    return evaluate_and_measure(data, compared_methods, subject(data, **changes), params, tables.append), tables


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TransitionDataset:
    return small_dataset(tmp_path_factory.mktemp("data") / "t.h5")


@pytest.fixture(scope="module")
def both(data: TransitionDataset) -> tuple[Report, list[pa.Table]]:
    return measured(data)


@pytest.fixture(scope="module")
def report(both: tuple[Report, list[pa.Table]]) -> Report:
    return both[0]


def test_page_stands_alone_escapes_and_is_drawn_from_its_json(report: Report, tmp_path: Path) -> None:
    written = write_report(tmp_path, report)
    page = (tmp_path / "report.html").read_text()
    own = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"src=|href=\"(?!#part-)", own)
    assert "<script src" not in page
    assert "&lt;/script&gt;&lt;b&gt;" in own
    assert "cite &lt;them&gt;" in own
    assert "last 10" in own
    assert "0.0123" in own
    assert "This data is generated" not in own
    assert len(page) < 6_000_000
    assert read_report(tmp_path / "report.json") == written
    assert render(read_report(tmp_path / "report.json")) == page
    for section in SECTIONS:
        assert f'<section id="part-{section.name}">' in own
        assert f'<a href="#part-{section.name}">{section.label}</a>' in own
    assert own.count("<table") == own.count('<div class="scroll" tabindex="0"><table')


def test_json_is_of_the_published_schema(report: Report, tmp_path: Path) -> None:
    write_report(tmp_path, report)
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert (DOCS / "report.schema.json").read_text() == schema_text(), "run python docs/write_schema.py"
    assert (tmp_path / "report.schema.json").read_text() == schema_text()
    schema = json.loads(schema_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(numbers, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(numbers | {"format": "marquee-report/1"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(numbers | {"verdict": {}}, schema)


def test_equal_reports_give_equal_bytes(report: Report, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name, report)
    for file in ("report.html", "report.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_every_method_answers_every_case(both: tuple[Report, list[pa.Table]]) -> None:
    report, tables = both
    rows = pa.concat_tables([table.cast(tables[0].schema) for table in tables]).to_pandas()
    for one in report.methods.results:
        if one.kind != "published":
            chosen = (rows["method"] == one.name) & (rows["split"] == one.split) & (rows["protocol"] == one.protocol)
            assert chosen.sum() == one.cases
    protocols = {(one.split, one.protocol) for one in report.methods.results}
    assert {("test", "next-item"), ("time", "next-item"), ("validation", "next-item"), ("test", "fold-in")} <= protocols
    views = [(view.split, view.protocol) for view in report.popularity.views]
    assert views == [("test", "next-item"), ("time", "next-item"), ("time", "fold-in")]
    assert report.popularity.views[2].cold_sought > 0
    assert [policy.policy for policy in report.actions.policies] == ["td3", "other"]  # type: ignore[union-attr]


def test_sections_can_be_left_out(data: TransitionDataset, tmp_path: Path) -> None:
    assert {"embedding_map", "off_policy", "actions", "distances"} <= set(OPTIONAL)
    report = write_report(tmp_path, measured(data, QUICK)[0])
    assert (report.off_policy, report.actions, report.distances, report.embedding_map) == (None,) * 4
    page = (tmp_path / "report.html").read_text()
    assert "part-off_policy" not in page
    assert "part-methods" in page


@pytest.mark.parametrize("name", ["verdict", "distance"])
def test_only_optional_sections_can_be_left_out(name: str) -> None:
    with pytest.raises(ValidationError, match=f"expected names among .*'distances'.*; found '{name}'"):
        EvaluateParams(leave_out=(name,))


def test_what_a_reader_must_know_is_in_the_verdict(data: TransitionDataset, tmp_path: Path) -> None:
    facts = {"learner": "td3", "warnings": [WARNING], "diverged": "values diverged"}
    policies = {name: manifest("policy", **facts) for name in ("td3", "other")}
    dataset = manifest("dataset", generated=True, frame=3)
    report = write_report(tmp_path, measured(data, QUICK, policies=policies, dataset=dataset)[0])
    said = " ".join(report.verdict.cautions)
    for words in ("generated", "Only 20 test users", "diverged", "values-explode", "another dataset"):
        assert words in said
    page = (tmp_path / "report.html").read_text()
    assert "This data is generated." in page
    training = page.split("<h2>Training</h2>")[1].split("<h2")[0]
    assert "<b>td3, update 200: values-explode.</b> The policy&#39;s value is &lt;beyond&gt; bounds." in training
    assert "No early warning" not in training
    assert "td3: too little was logged (200 validations)" in training


def test_what_decides_about_promotion_and_drift_is_on_the_page(data: TransitionDataset, tmp_path: Path) -> None:
    comparison = compare_per_user(np.full(50, 0.3), np.full(50, 0.2), PromotionParams())
    events = Events(np.zeros(9, np.int64), np.zeros(9, np.int64), np.ones(9, np.uint8), np.zeros(9, np.int64))
    drift = measure_stability(events, events, 11)
    report, _ = measured(data, QUICK, comparison=comparison, drift=drift)
    written = write_report(tmp_path, report)
    assert written.verdict.promotion.sentence() == comparison.sentence()
    assert [one.measure for one in written.cards.drift] == ["ratings", "catalogue", "activity"]
    page = (tmp_path / "report.html").read_text()
    assert "the new policy is better." in page
    assert '<table id="drift">' in page
    assert f"Promotion: {comparison.sentence()}" in verdict_markdown(written)
    jsonschema.validate(json.loads((tmp_path / "report.json").read_text()), json.loads(schema_text()))


def test_key_figures_for_the_flow_run_page(report: Report) -> None:
    rows = methods_table(report)
    assert {row["method"] for row in rows} == {"td3", "other", *CHOSEN}
    assert [row["NDCG@10"] for row in rows] == sorted((row["NDCG@10"] for row in rows), reverse=True)
    said = verdict_markdown(report)
    assert said.startswith(report.verdict.headline)
    assert "| best baseline (popularity) |" in said
    assert set(pictures(report)) == {"verdict", "curves", "popularity"}


def test_sections_templates_are_part_of_the_pages_digest() -> None:
    alone = template_sha256("report.html.j2")
    assert len(
        {alone, templates_sha256(), *(template_sha256("report.html.j2", one.template) for one in SECTIONS)}
    ) == 2 + len(SECTIONS)


def test_a_section_of_the_registry_is_in_page_json_schema_and_leave_out() -> None:
    """Every section is found through the registry alone: a folder without its line there does not exist."""
    folders = {
        path.name for path in Path(registry.__file__).with_name("sections").iterdir() if (path / "__init__.py").exists()
    }
    assert {section.name for section in SECTIONS} == folders
    properties = json.loads(schema_text())["properties"]
    assert set(properties) == folders | {"format", "title", "generated"}
    assert {name for name in folders if "default" in properties[name]} == set(OPTIONAL)
    assert EvaluateParams.model_json_schema()["properties"]["leave_out"]["items"]["enum"] == list(OPTIONAL)


def test_curves_are_thinned_to_what_a_chart_shows(report: Report) -> None:
    curve = report.training.curves[0]
    assert len(curve.steps) == 60
    assert (curve.steps[0], curve.steps[-1]) == (0, 1990)
    assert np.allclose(np.array(curve.values, dtype=float), np.array(curve.steps) / 10)


def recomputed(row: dict[str, object], k: int) -> dict[str, float]:
    """Metrics of one row of rankings.parquet by their definitions, from its hundred best items alone."""
    targets = set(row["target_movie_ids"])  # type: ignore[call-overload]
    found = [place for place, movie in enumerate(row["top_movie_ids"][:k]) if movie in targets]  # type: ignore[index]
    ideal = sum(1 / np.log2(2 + place) for place in range(min(k, len(targets))))
    return {
        f"ndcg@{k}": sum(1 / np.log2(2 + place) for place in found) / ideal,
        f"recall@{k}": len(found) / (min(k, len(targets)) if row["protocol"] == "mult-vae" else len(targets)),
        f"hit@{k}": float(bool(found)),
        f"mrr@{k}": 1 / (1 + found[0]) if found else 0.0,
    }


def test_anyone_can_compute_the_metrics_again_from_the_rankings(both: tuple[Report, list[pa.Table]]) -> None:
    rankings = pa.concat_tables([table.unify_dictionaries() for table in both[1]]).to_pandas()
    evaluated = [one for one in both[0].methods.results if one.kind != "published"]
    assert {(one.split, one.protocol) for one in evaluated} >= {
        ("test", "next-item"),
        ("test", "fold-in"),
        ("test", "mult-vae"),
    }
    for one in evaluated:
        rows = rankings[
            (rankings.method == one.name) & (rankings.split == one.split) & (rankings.protocol == one.protocol)
        ]
        assert len(rows) == one.cases
        for k in (10, 50, 100):
            again = pd.DataFrame([recomputed(row, k) for row in rows.to_dict("records")])
            means = again.groupby(rows.user_id.to_numpy()).mean().mean()
            for metric, value in means.items():
                if metric in one.metrics:
                    assert one.metrics[metric] == pytest.approx(value, abs=1e-6), (one.name, one.protocol, metric)
