"""The report: one self-contained page for people, the same content as JSON for programs, and the JSON's schema."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, create_model

from evaluation.protocols.metrics import label
from evaluation.record import Record
from evaluation.report.figures import Chart
from evaluation.report.formats import DASH, count, fixed, interval, without_nan
from evaluation.report.page import render_page, render_partial, template_sha256
from evaluation.report.registry import SECTIONS
from evaluation.report.sections import methods, popularity, verdict
from evaluation.report.sections.methods.numbers import Table
from evaluation.report.sections.verdict.numbers import VerdictSection
from storage.markdown import markdown_table

FORMAT: Literal["marquee-report/4"] = "marquee-report/4"
TEMPLATE = "report.html.j2"


class ReportHead(Record):
    """The fields of a report besides its sections. `Report` adds a field for every section of the registry."""

    format: Literal["marquee-report/4"] = Field(FORMAT, description="Of this file; raised when readers must change.")
    title: str = Field(description="Of the page.")
    generated: bool = Field(
        description="Whether the ratings were drawn from known preferences rather than given by people."
    )

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """The section of that name."""


if TYPE_CHECKING:
    Report = ReportHead
else:
    Report = create_model(
        "Report",
        __base__=ReportHead,
        __module__=__name__,
        __doc__="All results of one evaluation: everything that the page shows and that its charts draw.",
        **{
            section.name: (
                (section.model | None, Field(None, description=section.description))
                if section.optional
                else (section.model, Field(description=section.description))
            )
            for section in SECTIONS
        },
    )


def write_report(folder: Path, report: Report) -> Report:
    """Write report.html, report.json and report.schema.json; equal input gives equal bytes.

    Returns:
        The report with the rounded numbers of the JSON.
    """
    numbers = without_nan(report.model_dump(mode="json"))
    (folder / "report.json").write_text(json.dumps(numbers, indent=1, allow_nan=False))
    (folder / "report.schema.json").write_text(schema_text())
    written = Report.model_validate(numbers)
    (folder / "report.html").write_text(render(written))
    return written


def read_report(path: Path) -> Report:
    """Read a report.json.

    Raises:
        ValidationError: the file is not a report, or has another format.
    """
    return Report.model_validate_json(path.read_bytes())


def render(report: Report) -> str:
    """The page of a report, drawn from its numbers alone."""
    parts = []
    for section in SECTIONS:
        numbers = getattr(report, section.name)
        if numbers is not None:
            part = render_partial(section.template, section.charts(numbers), section=numbers)
            parts.append((section.name, section.label, part))
    return render_page(TEMPLATE, report.title, report=report, parts=parts)


def templates_sha256() -> str:
    """The digest of all templates of the page."""
    return template_sha256(TEMPLATE, *(section.template for section in SECTIONS))


def schema_text() -> str:
    """The JSON schema of report.json, as published in docs/report.schema.json."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Report.model_json_schema(
        mode="serialization"
    )
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def methods_table(report: Report) -> list[dict[str, Any]]:
    """The main metrics of every method on test users as rows, for a table in the Prefect UI."""
    found = []
    for table in main_tables(report):
        for row in table.rows:
            shown = {label(name): row.metrics.get(name) for name in table.columns}
            first = {
                label(table.first): shown.pop(label(table.first)),
                "95 %": interval(row.intervals.get(table.first)),
            }
            found.append(
                {"method": row.name, "kind": row.kind} | first | shown | {"users": row.users, "cases": row.cases}
            )
    return found


def costs_table(report: Report) -> list[dict[str, Any]]:
    """What every method cost as rows, for a table in the Prefect UI."""
    return [
        {
            "method": row.name,
            "what was timed": row.cost.work or DASH,
            "seconds": fixed(row.cost.fit_seconds, 1),
            "MiB added": count(row.cost.peak_mib),
            "lists/s": count(row.cost.recommendations_per_second),
        }
        for table in main_tables(report)
        for row in table.rows
    ]


def main_tables(report: Report) -> list[Table]:
    """The table of next-item ranking on test users, if there is one."""
    return [one for one in report.methods.tables() if (one.split, one.protocol) == ("test", "next-item")]


def verdict_markdown(report: Report) -> str:
    """The verdict for the Prefect UI."""
    found: VerdictSection = report.verdict
    rows = (
        {
            f"{found.challenger} against": one.role if one.role == one.other else f"{one.role} ({one.other})",
            "NDCG@10": f"{one.other_value:.4f}",
            "difference": f"{one.difference:+.4f}",
            "95 % interval": f"{one.low:+.4f} to {one.high:+.4f}",
            "p (Holm)": f"{one.p:.3g}",
            "verdict": one.outcome,
        }
        for one in found.opponents
    )
    facts = [f"- **{fact.value}** {fact.label}" + (f" ({fact.note})" if fact.note else "") for fact in found.facts]
    cautions = [f"- ⚠ {caution}" for caution in found.cautions]
    answers = [f"- **{answer.question}** {answer.sentence}" for answer in found.answers]
    critics = found.critics.sentence if found.critics else ""
    promotion = f"Promotion: {found.promotion.sentence()}" if found.promotion else ""
    blocks = [
        found.headline,
        "\n".join(answers),
        critics,
        promotion,
        "\n".join(facts),
        markdown_table(rows),
        "\n".join(cautions),
    ]
    return "\n\n".join(block for block in blocks if block)


def pictures(report: Report) -> dict[str, Chart]:
    """The charts that represent the report in the Prefect UI, by name."""
    curves = [chart for chart in methods.SECTION.charts(report.methods) if chart.id == "methods-curves-test-next-item"]
    wanted = {
        "verdict": verdict.SECTION.charts(report.verdict)[:1],
        "curves": curves,
        "popularity": popularity.SECTION.charts(report.popularity)[:1],
    }
    return {name: charts[0] for name, charts in wanted.items() if charts}
