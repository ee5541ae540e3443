"""A self-contained HTML page: one style, charts that the browser draws, nothing fetched."""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import vl_convert
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from evaluation.protocols.metrics import formatted, label
from evaluation.report.figures import Chart, Spec
from evaluation.report.formats import FILTERS
from evaluation.report.labels import cases_title

SHARED = ("page.js", "base.html.j2", "charts.html.j2", "tables.html.j2")


def render_page(template: str, title: str, charts: Sequence[Chart] = (), **values: Any) -> str:
    """The page of a template that extends base.html.j2; equal input gives equal text.

    Args:
        template: its name below templates/.
        title: of the page.
        charts: for the template's `chart_figures`.
        values: the template's other variables.
    """
    page = environment().get_template(template)
    code = {"bundle": bundle(), "script": script()}
    return page.render(title=title, charts=chart_texts(charts), policy=content_security_policy(), **code, **values)


def render_partial(template: str, charts: Sequence[Chart], **values: Any) -> Markup:
    """A part of a page, whose wide tables scroll.

    Args:
        template: its name below sections/ or templates/; it gets `charts` and the macro `chart_figures`.
        charts: of this part.
        values: the template's other variables.
    """
    loaded = environment()
    macro = loaded.get_template("charts.html.j2").module.chart_figures  # type: ignore[attr-defined]
    text = loaded.get_template(template).render(charts=chart_texts(charts), chart_figures=macro, **values)
    wide = text.replace("<table", '<div class="scroll" tabindex="0"><table').replace("</table>", "</table></div>")
    return Markup(wide)  # noqa: S704


@cache
def bundle() -> Markup:
    """The code that draws charts in a browser (Vega, Vega-Lite and vega-embed), safe between script tags."""
    code: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return Markup(code.replace("</script", "<\\/script"))  # noqa: S704


@cache
def script() -> Markup:
    """The page's own code, from templates/page.js."""
    loaded = environment()
    text, _, _ = loaded.loader.get_source(loaded, "page.js")  # type: ignore[union-attr]
    return Markup(text)  # noqa: S704


@cache
def content_security_policy() -> str:
    """What a browser may do in a page: run our two scripts, which are named by their hashes, and apply styles.

    Titles and texts come from outside and are escaped. If one got past that, its code would not run, and nothing could be
    sent or fetched. Styles are allowed because the charts set them on their elements.
    """
    hashes = [base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in (bundle(), script())]
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def environment() -> Environment:
    """Jinja with HTML escaping, the number formats, and the labels of metrics and of sets of cases."""
    found = Environment(
        loader=ChoiceLoader([PackageLoader("evaluation.report", folder) for folder in ("templates", "sections")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= FILTERS | {"metric_label": label}
    found.globals |= {"cases_title": cases_title, "formatted": formatted}
    return found


def chart_texts(charts: Sequence[Chart]) -> list[tuple[str, str, str, Markup]]:
    """Charts with their specifications as text; titles and notes become the charts' descriptions for screen readers."""
    return [
        (name, title, note, in_script(spec | {"description": f"{title}. {note}"})) for name, title, note, spec in charts
    ]


def template_sha256(*templates: str) -> str:
    """The digest of the named templates and of those that all pages share."""
    digest, loaded = hashlib.sha256(), environment()
    for name in (*SHARED, *templates):
        text, _, _ = loaded.loader.get_source(loaded, name)  # type: ignore[union-attr]
        digest.update(name.encode() + text.encode())
    return digest.hexdigest()


def in_script(spec: Spec) -> Markup:
    """JSON that is safe between script tags."""
    return Markup(json.dumps(spec, sort_keys=True).replace("<", "\\u003c"))  # noqa: S704
