"""Validate one table with Great Expectations, and write the result and its Data Docs page."""

import json
import os
import re
from html import escape
from pathlib import Path
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import numpy as np
import pandas as pd
from great_expectations.render.renderer import ValidationResultsPageRenderer
from great_expectations.render.view import DefaultJinjaPageView

from expectations.validation_result import Failure, ValidationResult

EXAMPLES = 5
REMOTE = re.compile(
    r"<(?:link|script)[^>]*(?:href|src)=[\"']https?://[^>]*>(?:\s*</script>)?|<img[^>]*https?://[^>]*>", re.S
)
CHANGING = re.compile(
    r"\d{8}T\d{6}\.\d+Z|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d| UTC)?|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
)
RENDERED_ID = re.compile(r"(?<=[-_\"#])[0-9a-f]{32}")
LINK = re.compile(r'href="[^"#][^"]*"')
BODY = re.compile(r"<body[^>]*>")
# The pages load their styles from public CDNs, which are removed below, so that a page is readable offline.
PAGE_STYLE = """<style>body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:.5rem 0}td,th{border:1px solid #ccc;padding:.3rem .6rem;text-align:left;vertical-align:top}
i.fa-check-circle::before{content:"✔";color:#2a7d46}i.fa-times::before{content:"✘";color:#c0392b}
i.fa-exclamation-circle::before,i.fa-exclamation-triangle::before{content:"!";color:#c0392b}footer{display:none}
.summary{white-space:pre-wrap;padding:.8rem 1rem;border-radius:.4rem;background:#f3f5f6;font:14px/1.5 ui-monospace,monospace}</style>"""


def validate(frame: pd.DataFrame, suite: gx.ExpectationSuite, folder: Path) -> ValidationResult:
    """Validate a table and write `validation.json` and `data_docs/index.html`; equal tables give equal bytes.

    An empty table fails. A failed expectation of severity `warning` is recorded, and the table passes.

    Args:
        frame: the table.
        suite: expectations, each with a severity and the reason for it in `notes`. The column names in `meta["identify"]`
            are shown with each example of a wrong row.
        folder: where the two files are written.
    """
    if frame.empty:
        summary = ValidationResult(
            suite=suite.name, rows=0, expectations=len(suite.expectations), passed=False, failures=(), warnings=()
        )
        _write(folder, summary, f"<!doctype html><html><head><title>{suite.name}</title></head><body></body></html>")
        return summary
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    source = context.data_sources.add_pandas("tables")
    batch = source.add_dataframe_asset(suite.name).add_batch_definition_whole_dataframe("whole")
    context.suites.add(suite)
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=suite.name, data=batch, suite=suite))
    result = definition.run(
        batch_parameters={"dataframe": frame},
        result_format={"result_format": "COMPLETE", "partial_unexpected_count": EXAMPLES},
    )
    identify = tuple((suite.meta or {}).get("identify", ()))
    unmet = [_failure(entry, frame, identify) for entry in result.results if not entry.success]
    failures = tuple(failure for failure in unmet if failure.severity == "critical")
    summary = ValidationResult(
        suite=suite.name,
        rows=len(frame),
        expectations=len(result.results),
        passed=not failures,
        failures=failures,
        warnings=tuple(failure for failure in unmet if failure.severity != "critical"),
    )
    for entry in result.results:  # the page would list every wrong row
        for key in (
            "unexpected_list",
            "unexpected_index_list",
            "unexpected_index_query",
            "partial_unexpected_index_list",
        ):
            entry.result.pop(key, None)
        if isinstance(found := entry.result.get("observed_value"), np.generic):
            entry.result["observed_value"] = found.item()  # the page cannot show numbers of numpy 2
    _write(folder, summary, DefaultJinjaPageView().render(ValidationResultsPageRenderer().render(result)))
    return summary


def _failure(entry: Any, frame: pd.DataFrame, identify: tuple[str, ...]) -> Failure:
    config = entry.expectation_config
    rows = list(entry.result.get("unexpected_index_list") or [])[:EXAMPLES]
    columns = [name for name in dict.fromkeys([*identify, config.kwargs.get("column")]) if name in frame.columns]
    picked = json.loads(frame.loc[rows, columns].to_json(orient="records")) if rows and columns else []
    error = next(
        (info.get("exception_message") for info in entry.exception_info.values() if isinstance(info, dict)), None
    )
    found = entry.result.get("observed_value", error)
    severity = getattr(config.severity, "value", config.severity)
    return Failure(
        expectation=config.type,
        column=config.kwargs.get("column"),
        severity="critical" if error else str(severity or "critical"),
        why=" ".join([config.notes] if isinstance(config.notes, str) else config.notes or []),
        unexpected=entry.result.get("unexpected_count"),
        found=None if found is None else str(found),
        examples=tuple(picked),
    )


def _write(folder: Path, summary: ValidationResult, page: str) -> None:
    (folder / "validation.json").write_text(summary.model_dump_json(indent=2))
    (folder / "data_docs").mkdir(parents=True, exist_ok=True)
    offline = LINK.sub('href="#"', REMOTE.sub("", page)).replace("</head>", f"{PAGE_STYLE}</head>", 1)
    # Great Expectations marks a table that only has warnings as failed, so our result is shown first.
    offline = BODY.sub(
        lambda match: f'{match[0]}<div class="summary">{escape(summary.message())}</div>', offline, count=1
    )
    # Run times and random ids are removed: they differ between runs on equal tables.
    seen: dict[str, str] = {}
    steady = RENDERED_ID.sub(lambda match: seen.setdefault(match[0], f"{len(seen):032x}"), CHANGING.sub("", offline))
    (folder / "data_docs" / "index.html").write_text(steady)
