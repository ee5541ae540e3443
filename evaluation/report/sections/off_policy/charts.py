"""The chart of off-policy estimates."""

import altair as alt
import pandas as pd

from evaluation.report import figures
from evaluation.report.figures import REFERENCE_COLOUR, Chart
from evaluation.report.sections.off_policy.numbers import OffPolicySection

ESTIMATORS = {
    "doubly_robust": "doubly robust (DR)",
    "importance": "weighting (SNIPS)",
    "direct": "reward model (DM)",
    "fitted_q": "several steps (FQE)",
}
TRUE_COLOUR = "#d65f5f"


def draw(section: OffPolicySection) -> list[Chart]:
    """Every method's estimates with intervals, a panel per estimator."""
    if section.logged is None:
        return []
    rows = [
        {
            "method": policy.name,
            "estimator": title,
            "reliable": policy.warning is None,
            "true": policy.true_value if field != "fitted_q" else None,
            "logged": section.logged.value,
            **getattr(policy, field).model_dump(),
        }
        for policy in section.policies
        for field, title in ESTIMATORS.items()
    ]
    data = pd.DataFrame(rows).astype({"true": float, "value": float, "low": float, "high": float}).round(4)
    is_baseline = {one.name: one.baseline for one in section.policies}
    base = alt.Chart(data).encode(
        y=alt.Y("method:N", title=None, sort=list(is_baseline)),
        color=alt.Color("method:N", scale=figures.method_scale(is_baseline), legend=None),
        opacity=alt.condition("datum.reliable", alt.value(1.0), alt.value(0.4)),
    )
    logged = alt.Chart(data).mark_rule(strokeDash=[3, 3], color=REFERENCE_COLOUR).encode(x="mean(logged):Q")
    x = alt.X("value:Q", title="mean rating", scale=alt.Scale(zero=False))
    tooltip = ["method:N", "estimator:N", *figures.numbers("value", "low", "high", format=".3f")]
    marks = [
        logged,
        figures.whisker(base, 1.6, x=alt.X("low:Q", title="mean rating")),
        base.mark_circle(size=46).encode(x=x, tooltip=tooltip),
    ]
    note = "Points with 95 % intervals over users; pale: unreliable. Dashed: the items that users chose themselves."
    if any(policy.true_value is not None for policy in section.policies):
        true = base.mark_tick(thickness=2, size=13).encode(
            x="true:Q",
            color=alt.value(TRUE_COLOUR),
            opacity=alt.value(1.0),
            tooltip=["method:N", *figures.numbers("true", format=".3f")],
        )
        marks.append(true)
        note += " Red ticks: the true value, which is known for generated data."
    chart = alt.layer(*marks).properties(width=170, height=max(80, 19 * len(section.policies)))
    spec = figures.finished(chart.facet(facet=figures.by_panel("estimator", list(ESTIMATORS.values())), columns=4))
    return [Chart("off-policy", "Estimated mean rating of the recommended items", note, spec)]
