"""What a section of the report is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from evaluation.record import Record
from evaluation.report.evidence import Evidence
from evaluation.report.figures import Chart


@dataclass(frozen=True)
class Section:
    """One section: a folder of `evaluation/report/sections` with its numbers, its charts and template.html.j2.

    Attributes:
        package: the folder's `__name__`; its last part names the section in report.json, `leave_out` and links.
        label: in the page's contents.
        description: of its numbers, for the JSON schema.
        model: its numbers in report.json.
        measure: computes the numbers; None if there is nothing to show, which only an optional section may return.
        charts: draws them.
        optional: whether `leave_out` may name the section.
        sums_up: whether it is measured after all others, whose numbers it finds in `Evidence.measured`.
    """

    package: str
    label: str
    description: str
    model: type[Record]
    measure: Callable[[Evidence], Record | None]
    charts: Callable[[Any], list[Chart]]
    optional: bool = False
    sums_up: bool = False

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.package.rpartition(".")[2]

    @property
    def template(self) -> str:
        """The name of its template."""
        return f"{self.name}/template.html.j2"
