"""What tests of several sections share."""

import json
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined

from evaluation.page import Chart, in_script, number
from evaluation.sections.section import Section


def drawn(charts: list[Chart]) -> None:
    """Every chart becomes a picture, and holds no number that JSON does not know."""
    for _, title, note, spec in charts:
        assert title
        assert note
        json.dumps(spec, allow_nan=False)
        assert vl_convert.vegalite_to_png(spec).startswith(b"\x89PNG")


def rendered(name: str, section: Section, charts: list[Chart]) -> str:
    """A section's part of the page."""
    environment = Environment(
        loader=PackageLoader("evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    text = f"{{% from 'charts.html.j2' import chart_figures %}}{{% include 'sections/{name}.html.j2' %}}"
    shown: list[Any] = [(chart, title, note, in_script(spec)) for chart, title, note, spec in charts]
    return environment.from_string(text).render(section=section, charts=shown)


def as_json(section: Section) -> str:
    """The section's JSON; fails where a number is none."""
    return json.dumps(section.model_dump(), allow_nan=False)
