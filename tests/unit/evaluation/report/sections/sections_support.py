"""What tests of several sections share."""

import json

import vl_convert

from evaluation.record import Record
from evaluation.report.figures import Chart
from evaluation.report.page import render_partial


def drawn(charts: list[Chart]) -> None:
    """Every chart becomes a picture, and holds no number that JSON does not know."""
    for _, title, note, spec in charts:
        assert title
        assert note
        json.dumps(spec, allow_nan=False)
        assert vl_convert.vegalite_to_png(spec).startswith(b"\x89PNG")


def rendered(name: str, section: Record, charts: list[Chart]) -> str:
    """A section's part of the page."""
    return str(render_partial(f"{name}/template.html.j2", charts, section=section))


def as_json(section: Record) -> str:
    """The section's JSON; fails where a number is none."""
    return json.dumps(section.model_dump(), allow_nan=False)
