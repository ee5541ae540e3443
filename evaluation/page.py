"""A self-contained HTML page: shared look, charts drawn in the reader's browser, nothing fetched."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evaluation.figures import Spec

TEMPLATES = Path(__file__).parent / "templates"
Chart = tuple[str, str, str, Spec]  # id, title, note, specification


def render_page(template: str, title: str, charts: Sequence[Chart], **values: Any) -> str:
    """The page of a template that extends base.html.j2; equal input gives equal text.

    Args:
        template: file name below templates/.
        title: of the page.
        charts: what the template's `chart_figures` shows.
        values: all else that the template names.
    """
    environment = Environment(
        loader=PackageLoader("evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment.get_template(template).render(
        title=title,
        charts=[(name, heading, note, in_script(spec)) for name, heading, note, spec in charts],
        bundle=Markup(vl_convert.javascript_bundle().replace("</script", "<\\/script")),  # type: ignore[call-arg]  # noqa: S704
        **values,
    )


def template_sha256(template: str) -> str:
    """What stands for a template, and for those it builds on, in digests."""
    digest = hashlib.sha256()
    for name in (template, "base.html.j2", "charts.html.j2"):
        digest.update((TEMPLATES / name).read_bytes())
    return digest.hexdigest()


def without_nan(value: Any) -> Any:
    """The same structure with null for what is not a finite number, floats to 6 significant digits."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def number(value: float | None) -> str:
    """A metric for people: four decimals, or a dash."""
    return "–" if value is None else f"{value:.4f}"


def in_script(spec: Spec) -> Markup:
    """JSON that is safe between script tags."""
    return Markup(json.dumps(spec, sort_keys=True).replace("<", "\\u003c"))  # noqa: S704
