"""What a flow run shows in the Prefect UI: a summary in markdown, tables, pictures, and links to pages."""

import base64
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from rich.filesize import decimal

from storage.errors import MarqueeError
from storage.home import home
from storage.markdown import markdown_table
from tasks.caching import artifact_store
from tasks.steps import Run, Step, current_run

logger = logging.getLogger("marquee.story")
P = ParamSpec("P")
R = TypeVar("R")


def with_summary(flow: Callable[P, R]) -> Callable[P, R]:
    """Show a summary of a flow's run when it ends, also when it fails.

    Args:
        flow: the flow's function; its name with hyphens is the name of the flow.
    """

    @wraps(flow)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        outer, began = current_run.get(), time.monotonic()
        run = Run(flow.__name__.replace("_", "-"), [], [])
        token = current_run.set(run)
        error: BaseException | None = None
        try:
            return flow(*args, **kwargs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            current_run.reset(token)
            if outer:
                outer.steps += run.steps
                outer.sections += run.sections
            show_summary(run, time.monotonic() - began, error)

    return call


def show_summary(run: Run, seconds: float, error: BaseException | None) -> None:
    """Show what a run made, from what, and where it is. A summary that fails is logged and does not fail the run."""
    try:
        create_markdown_artifact(
            key=f"{run.flow}-summary", markdown=summary(run, seconds, error), description=f"Summary of {run.flow}"
        )
    except Exception as failure:
        logger.warning("the summary could not be shown: %s", type(failure).__name__)


def summary(run: Run, seconds: float, error: BaseException | None = None) -> str:
    """The summary of a run in markdown.

    Args:
        run: its steps and sections.
        seconds: how long it took.
        error: what it ended with; only the messages of our own errors are shown, others may hold secrets.
    """
    made = [step for step in run.steps if step.made]
    counts = f"{seconds:,.1f} s"
    if run.steps:
        counts += f": {len(made)} artifacts made, {len(run.steps) - len(made)} used again"
    if error is None:
        parts = [f"**Completed in {counts}.**"]
    else:
        why = f": {error}" if isinstance(error, MarqueeError) else ""
        parts = [f"**Failed with {type(error).__name__} after {counts}.**", f"{type(error).__name__}{why}"]
    parts += [
        f"## {heading}\n\n{text}"
        for heading, text in (
            *(("Report", report_text(step)) for step in run.steps if step.ref.kind == "report"),
            *run.sections,
            ("Policies", markdown_table(map(policy_row, of_kind(run.steps, "policy")))),
            ("Datasets", markdown_table(map(dataset_row, of_kind(run.steps, "dataset")))),
            ("Gates", markdown_table(map(gate_row, of_kind(run.steps, "validation-")))),
            ("Steps", markdown_table(map(step_row, run.steps))),
            ("Pages", pages(run.steps)),
        )
        if text
    ]
    return "\n\n".join(parts)


def add_section(heading: str, markdown: str) -> None:
    """Add a part to the summary of the running flow, if it has one."""
    if run := current_run.get():
        run.sections.append((heading, markdown))


def of_kind(steps: Iterable[Step], kind: str) -> list[Step]:
    """The steps whose artifact's kind begins so, each artifact once."""
    return list({step.ref.digest: step for step in steps if step.ref.kind.startswith(kind)}.values())


def step_row(step: Step) -> dict[str, str]:
    """What a step made, from what, and how long that took."""
    inputs = step.manifest.recipe.inputs
    return {
        "step": step.name,
        "rows": f"{step.ref.rows:,}",
        "size": decimal(step.ref.size_bytes),
        "made from": ", ".join(inputs) or "–",
        "time": step.time,
    }


def gate_row(step: Step) -> dict[str, str]:
    """The result of a table's validation."""
    facts = step.manifest.facts
    return {
        "table": facts["suite"],
        "result": "passed" if facts["passed"] else "FAILED",
        "rows": f"{facts['rows']:,}",
        "warnings": str(len(facts["warnings"])),
        "Data Docs": link(artifact_store().folder(step.ref.kind, step.ref.digest) / "data_docs" / "index.html", "open"),
    }


def dataset_row(step: Step) -> dict[str, str]:
    """The size of a dataset."""
    facts = step.manifest.facts
    row = {"dataset": f"`{step.ref.digest[:12]}`"}
    return row | {name: f"{facts[name]:,}" for name in ("users", "items", "events", "transitions")}


def policy_row(step: Step) -> dict[str, str]:
    """How a policy was trained, and how well it ranks on validation users."""
    facts = step.manifest.facts
    return {
        "learner": str(facts["learner"]),
        "validation NDCG@10": f"{facts['validation_ndcg@10']:.4f}",
        "updates": f"{facts['updates']:,}",
        "selected at": f"{facts['selected_update']:,}",
        "warnings": str(len(facts["warnings"])),
        "trained in": f"{step.manifest.seconds:,.0f} s",
    }


def report_text(step: Step) -> str:
    """The report's verdict, its first chart, the methods with their intervals, and what they cost."""
    facts, folder = step.manifest.facts, artifact_store().folder(step.ref.kind, step.ref.digest)
    chart = folder / "verdict.png"
    parts = [
        facts["markdown"],
        f"![The challenger's difference to each opponent]({data_uri(chart)})" if chart.is_file() else "",
    ]
    parts += [markdown_table(narrow(rows)) for rows in (facts["methods"], facts["costs"])]
    return "\n\n".join(part for part in parts if part)


def narrow(rows: Iterable[Mapping[str, Any]], columns: int = 6) -> Iterator[dict[str, str]]:
    """The first columns of rows as text, so that the table fits into the Prefect UI."""
    for row in rows:
        shown = list(row.items())[:columns]
        yield {name: f"{value:.4f}" if isinstance(value, float) else str(value) for name, value in shown}


def pages(steps: Sequence[Step]) -> str:
    """Links to the pages that the steps wrote."""
    store = artifact_store()
    named = {"report": "report.html", "feature-report": "features.html"}
    found = [
        f"- {step.ref.kind}: {link(store.folder(step.ref.kind, step.ref.digest) / named[step.ref.kind])}"
        for step in steps
        if step.ref.kind in named
    ]
    return "\n".join(found)


def link(path: Path, text: str | None = None) -> str:
    """A link in markdown to a file of the work directory.

    A browser opens it from the Prefect UI if `MARQUEE_HOME_URL` is the address at which the work directory is served.
    Without it the link names the file, which browsers do not open from a web page; its address can be copied.
    """
    served = os.environ.get("MARQUEE_HOME_URL")
    address = f"{served.rstrip('/')}/{path.relative_to(home()).as_posix()}" if served else path.as_uri()
    return f"[{text or path}]({address})"


def data_uri(path: Path) -> str:
    """A PNG file as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def show_text(key: str, markdown: str, description: str) -> None:
    """Show a text in markdown."""
    create_markdown_artifact(key=key, markdown=markdown, description=description)


def show_table(key: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
    """Show rows with the same columns as a table."""
    create_table_artifact(key=key, table=[dict(row) for row in rows], description=description)


def show_image(key: str, path: Path, description: str) -> None:
    """Show a PNG file, as part of the artifact itself."""
    create_image_artifact(key=key, image_url=data_uri(path), description=description)
