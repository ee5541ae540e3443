"""What tests of several sections share."""

import json

import vl_convert

from evaluation.report.page import Chart, render_partial
from evaluation.report.sections.section import Section


def drawn(charts: list[Chart]) -> None:
    """Every chart becomes a picture, and holds no number that JSON does not know."""
    for _, title, note, spec in charts:
        assert title
        assert note
        json.dumps(spec, allow_nan=False)
        assert vl_convert.vegalite_to_png(spec).startswith(b"\x89PNG")


def rendered(name: str, section: Section, charts: list[Chart]) -> str:
    """A section's part of the page."""
    return str(render_partial(f"sections/{name}.html.j2", charts, section=section))


def as_json(section: Section) -> str:
    """The section's JSON; fails where a number is none."""
    return json.dumps(section.model_dump(), allow_nan=False)
