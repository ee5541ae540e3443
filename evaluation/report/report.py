"""The report: one self-contained page for people, the same content as JSON for programs, and the JSON's schema."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from evaluation.report.page import Chart, render_page, render_partial, without_nan
from evaluation.report.sections import (
    actions,
    cards,
    distances,
    embedding_map,
    examples,
    methods,
    off_policy,
    popularity,
    training,
    verdict,
)
from evaluation.report.sections.actions import ActionsSection
from evaluation.report.sections.cards import CardsSection
from evaluation.report.sections.distances import DistancesSection
from evaluation.report.sections.embedding_map import EmbeddingMapSection
from evaluation.report.sections.examples import ExamplesSection
from evaluation.report.sections.methods import MethodsSection
from evaluation.report.sections.off_policy import OffPolicySection
from evaluation.report.sections.popularity import PopularitySection
from evaluation.report.sections.section import Section
from evaluation.report.sections.training import TrainingSection
from evaluation.report.sections.verdict import VerdictSection

FORMAT: Literal["marquee-report/3"] = "marquee-report/3"
TEMPLATE, FOLDER = "report.html.j2", "sections"


class Report(Section):
    """All that one evaluation found: what the page shows, and all that its charts draw."""

    format: Literal["marquee-report/3"] = Field(FORMAT, description="Of this file; raised when readers must change.")
    title: str = Field(description="Of the page.")
    generated: bool = Field(
        description="Whether the ratings were drawn from known preferences rather than given by people."
    )
    verdict: VerdictSection = Field(description="Is the challenger better, by how much, and how sure is that.")
    methods: MethodsSection = Field(description="Every method's metrics by split and protocol, tests, costs.")
    popularity: PopularitySection = Field(description="Which items are shown, to whom; items nobody had rated.")
    examples: ExamplesSection = Field(description="Some test users and what each method recommends to them.")
    embedding_map: EmbeddingMapSection | None = Field(None, description="The catalogue in the plane.")
    off_policy: OffPolicySection | None = Field(None, description="What recommendations would be worth.")
    actions: ActionsSection | None = Field(None, description="How like real actions the policies' are.")
    distances: DistancesSection | None = Field(None, description="Ranking by the article's eight distances.")
    training: TrainingSection = Field(description="Curves and early warnings.")
    cards: CardsSection = Field(description="Dataset card, model cards, baselines' tuning, provenance.")


# Name of the field and its template, heading in the contents, what draws it; in the order of the page.
PARTS: tuple[tuple[str, str, Callable[[Any], list[Chart]]], ...] = (
    ("verdict", "Verdict", verdict.charts),
    ("methods", "Methods", methods.charts),
    ("examples", "Examples", examples.charts),
    ("popularity", "Popularity bias", popularity.charts),
    ("embedding_map", "Map", embedding_map.charts),
    ("off_policy", "Off-policy value", off_policy.charts),
    ("actions", "Actions", actions.charts),
    ("distances", "Distances", distances.charts),
    ("training", "Training", training.charts),
    ("cards", "Cards and provenance", cards.charts),
)


def write_report(folder: Path, report: Report) -> Report:
    """Write report.html, report.json and report.schema.json; returns the report as the JSON holds it, so rounded.

    Equal input gives equal bytes.
    """
    numbers = without_nan(report.model_dump(mode="json"))
    (folder / "report.json").write_text(json.dumps(numbers, indent=1, allow_nan=False))
    (folder / "report.schema.json").write_text(schema_text())
    written = Report.model_validate(numbers)
    (folder / "report.html").write_text(render(written))
    return written


def read_report(path: Path) -> Report:
    """A stored report.json.

    Raises:
        ValidationError: it is none, or of another format.
    """
    return Report.model_validate_json(path.read_bytes())


def render(report: Report) -> str:
    """The page of a report, drawn from nothing else."""
    parts = []
    for name, label, charts in PARTS:
        section = getattr(report, name)
        if section is not None:
            part = render_partial(f"{FOLDER}/{name}.html.j2", charts(section), section=section)
            parts.append((name, label, part))
    return render_page(TEMPLATE, report.title, report=report, parts=parts)


def schema_text() -> str:
    """The JSON schema of report.json, as published in docs/report.schema.json."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Report.model_json_schema(
        mode="serialization"
    )
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def methods_table(report: Report) -> list[dict[str, Any]]:
    """Methods and their main metrics on test users as rows, for a table in the Prefect UI."""
    return [
        {"method": row.name, "kind": row.kind}
        | {methods.label(name): row.metrics.get(name) for name in table.columns}
        | {"users": row.users, "cases": row.cases}
        for table in report.methods.tables()
        if (table.split, table.protocol) == ("test", "next-item")
        for row in table.rows
    ]


def verdict_markdown(report: Report) -> str:
    """The verdict for the Prefect UI."""
    said = report.verdict
    rows = [
        f"| {one.other} | {one.role} | {one.challenger_value:.4f} | {one.other_value:.4f} | {one.difference:+.4f} "
        f"| {one.low:+.4f} to {one.high:+.4f} | {one.p:.3g} | {one.outcome} |"
        for one in said.opponents
    ]
    table = [
        f"| against | as | {said.challenger} | opponent | difference | 95 % interval | p (Holm) | verdict |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    ]
    facts = [f"- **{fact.value}** {fact.label}" + (f" ({fact.note})" if fact.note else "") for fact in said.facts]
    cautions = [f"- ⚠ {caution}" for caution in said.cautions]
    blocks = [said.headline, "\n".join(facts), "\n".join(table) if rows else "", "\n".join(cautions)]
    return "\n\n".join(block for block in blocks if block)


def pictures(report: Report) -> dict[str, Chart]:
    """The charts that stand for the report elsewhere, by name."""
    wanted = {
        "verdict": verdict.charts(report.verdict)[:1],
        "curves": [chart for chart in methods.charts(report.methods) if chart[0] == "methods-curves-test-next-item"],
        "popularity": popularity.charts(report.popularity)[:1],
    }
    return {name: charts[0] for name, charts in wanted.items() if charts}
