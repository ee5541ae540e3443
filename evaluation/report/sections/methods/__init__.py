"""The metrics of every method by split and protocol, tests between methods, and costs."""

from evaluation.report.section import Section
from evaluation.report.sections.methods.charts import draw
from evaluation.report.sections.methods.numbers import MethodsSection

SECTION = Section(
    __name__,
    label="Methods",
    description="Every method's metrics by split and protocol, tests, costs.",
    model=MethodsSection,
    measure=lambda evidence: evidence.methods,
    charts=draw,
)
