"""A self-contained HTML page: shared look, charts drawn in the reader's browser, nothing fetched."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evaluation.protocols.names import asked
from evaluation.report.figures import Spec

TEMPLATES = Path(__file__).parent / "templates"
Chart = tuple[str, str, str, Spec]  # id, title, note, specification


def render_page(template: str, title: str, charts: Sequence[Chart] = (), **values: Any) -> str:
    """The page of a template that extends base.html.j2; equal input gives equal text.

    Args:
        template: file name below templates/.
        title: of the page.
        charts: what the template's `chart_figures` shows.
        values: all else that the template names.
    """
    page = environment().get_template(template)
    return page.render(title=title, charts=drawn(charts), bundle=bundle(), **values)


def render_partial(template: str, charts: Sequence[Chart], **values: Any) -> Markup:
    """A part of a page, of a template that gets `charts` and the macro `chart_figures`; its tables scroll where they are wide."""
    loaded = environment()
    macro = loaded.get_template("charts.html.j2").module.chart_figures  # type: ignore[attr-defined]
    text = loaded.get_template(template).render(charts=drawn(charts), chart_figures=macro, **values)
    wide = text.replace("<table", '<div class="scroll" tabindex="0"><table').replace("</table>", "</table></div>")
    return Markup(wide)  # noqa: S704


@cache
def bundle() -> Markup:
    """What draws charts in a browser: Vega, Vega-Lite and vega-embed, safe between script tags."""
    code: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return Markup(code.replace("</script", "<\\/script"))  # noqa: S704


def environment() -> Environment:
    """Jinja with escaping, the filters that write numbers for people, and what splits and protocols are called."""
    found = Environment(
        loader=PackageLoader("evaluation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= FILTERS
    found.globals["asked"] = asked
    return found


def drawn(charts: Sequence[Chart]) -> list[tuple[str, str, str, Markup]]:
    """Charts with their specifications as text, which say in words what they show."""
    return [
        (name, title, note, in_script(spec | {"description": f"{title}. {note}"})) for name, title, note, spec in charts
    ]


def template_sha256(template: str, *folders: str) -> str:
    """What stands for a template, and for those it builds on, in digests.

    Args:
        template: file name below templates/.
        folders: below templates/, whose templates it includes.
    """
    digest = hashlib.sha256()
    for name in (template, "base.html.j2", "charts.html.j2"):
        digest.update((TEMPLATES / name).read_bytes())
    for path in sorted(path for folder in folders for path in (TEMPLATES / folder).glob("*.j2")):
        digest.update(path.name.encode() + path.read_bytes())
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


def signed(value: float | None) -> str:
    """A difference for people: four decimals with their sign, or a dash."""
    return "–" if value is None else f"{value:+.4f}".replace("-", "−")


def share(value: float | None) -> str:
    """A share for people, in per cent, or a dash."""
    return "–" if value is None else f"{100 * value:.1f} %"


def count(value: float | None) -> str:
    """A count for people: thousands apart, or a dash."""
    return "–" if value is None else f"{round(value):,}"


def probability(value: float | None) -> str:
    """A p value for people."""
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def sentence(text: str) -> str:
    """The text, its first letter large."""
    return text[:1].upper() + text[1:]


FILTERS: dict[str, Callable[..., str]] = {
    "number": number,
    "signed": signed,
    "share": share,
    "count": count,
    "probability": probability,
    "sentence": sentence,
}


def in_script(spec: Spec) -> Markup:
    """JSON that is safe between script tags."""
    return Markup(json.dumps(spec, sort_keys=True).replace("<", "\\u003c"))  # noqa: S704
