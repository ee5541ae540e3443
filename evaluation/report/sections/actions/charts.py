"""Charts of the actions: matrices of distances, and densities of distances and reconstruction errors."""

import altair as alt
import numpy as np

from evaluation.protocols.distribution import KINDS
from evaluation.report import figures
from evaluation.report.figures import REFERENCE_COLOUR, Chart, Spec
from evaluation.report.sections.actions.numbers import IN_MATRICES, MATRIX_ROWS, PAIRS, SETS, ActionsSection, rounded

SET_COLOURS = {
    "real": REFERENCE_COLOUR, "train": "#4c8bd6", "test": "#e08a3c", "noise": "#9a76c9",
    "real-real": REFERENCE_COLOUR, "train-train": "#4c8bd6", "test-test": "#e08a3c", "real-test": "#57a773",
}  # fmt: skip
SET_DASHES = {"real-test": [5, 3], "noise": [2, 2]}
TITLES = {"cosine": "Cosine distance (1 − cos)", "euclidean": "Euclidean distance"}
Curve = tuple[str, str, tuple[float, ...]]  # policy, set or pair of sets, density


def draw(section: ActionsSection) -> list[Chart]:
    """The matrices, the densities of both kinds of distances, and those of the errors."""
    if not section.policies:
        return []
    note = (
        "Logged actions (real), and the policy's actions in states of training users (train) and of held-out users (test); every "
        "cell is one pair. Dark: nearly the same action."
    )
    made = [Chart("action-matrices", "Distances of pairs", note, matrices(section))]
    note = (
        "Grey: the distances among logged actions. All curves have the same height: compare their positions and widths. "
        "A peak at 0 means the same action for all users."
    )
    for kind in KINDS:
        curves = [
            (policy.policy, pair, policy.distances[kind].pairs[pair].density)
            for policy in section.policies
            for pair in PAIRS
        ]
        spec = densities(curves, section.grids[kind], alt.X("x:Q", title=None))
        made.append(Chart(f"action-{kind}", TITLES[kind], note, spec))
    note = (
        "Errors of an autoencoder trained on logged training actions; the further right, the less similar to logged actions. "
        "At the grey curve: similar to what users choose. At the noise: no more similar than a random direction."
    )
    curves = [(policy.policy, name, policy.errors[name].density) for policy in section.policies for name in SETS]
    grid = tuple(10**value for value in section.grids["error"])
    x = alt.X("x:Q", title="mean squared error", axis=alt.Axis(format="~g", tickCount=4, grid=False))
    made.append(Chart("action-errors", "Reconstruction errors", note, densities(curves, grid, x, scale="log")))
    return made


def densities(curves: list[Curve], grid: tuple[float, ...], x: alt.X, scale: str = "linear") -> Spec:
    """Curves of densities of equal height, a panel per policy.

    Args:
        curves: an empty density is left out.
        grid: x of the points.
        x: the axis.
        scale: its type.
    """
    rows = [
        {"policy": policy, "name": name, "x": grid, "height": rounded(np.array(density) / max(density))}
        for policy, name, density in curves
        if max(density, default=0) > 0
    ]
    names, policies = list(dict.fromkeys(row[1] for row in curves)), list(dict.fromkeys(row[0] for row in curves))
    columns = min(3, len(policies))
    colour = alt.Scale(domain=names, range=[SET_COLOURS[name] for name in names])
    dash = alt.Scale(domain=names, range=[SET_DASHES.get(name, [1, 0]) for name in names])
    chart = (
        alt.Chart(alt.Data(values=rows))
        .transform_flatten(["x", "height"])
        .mark_line(strokeWidth=1.8)
        .encode(
            x=x.scale(type=scale, domain=[grid[0], grid[-1]], nice=False),
            y=alt.Y("height:Q", axis=None, scale=alt.Scale(domain=[0, 1.05])),
            color=alt.Color("name:N", sort=names, title=None, scale=colour, legend=alt.Legend(orient="top")),
            strokeDash=alt.StrokeDash("name:N", sort=names, title=None, scale=dash),
            tooltip=["policy:N", "name:N"],
        )
        .properties(width={1: 480, 2: 360, 3: 250}[columns], height=120)
        .facet(facet=figures.by_panel("policy", policies), columns=columns)
    )
    return figures.finished(chart)


def matrices(section: ActionsSection) -> Spec:
    """Both matrices of one policy side by side; with several policies, a field to choose one."""
    names = [policy.policy for policy in section.policies]
    field = alt.binding_select(options=names, name="policy ") if len(names) > 1 else alt.Undefined
    chosen = alt.param(name="policy", value=names[0], bind=field)
    sizes = [min(MATRIX_ROWS, section.rows[name]) for name in IN_MATRICES]
    ends = np.cumsum(sizes).tolist()
    middles = [end - rows // 2 for end, rows in zip(ends, sizes, strict=True)]

    def set_of(place: str) -> str:
        return f"{place} <= {ends[0]} ? '{IN_MATRICES[0]}' : {place} <= {ends[1]} ? '{IN_MATRICES[1]}' : '{IN_MATRICES[2]}'"

    axis = alt.Axis(values=middles, labelExpr=set_of("datum.value"), labelAngle=0, ticks=False, title=None)
    panels = []
    for kind in KINDS:
        rows = [
            {"of": policy.policy, "row": place, "distances": row}
            for policy in section.policies
            for place, row in enumerate(policy.distances[kind].matrix, start=1)
        ]
        scale, legend = alt.Scale(scheme="viridis"), alt.Legend(gradientLength=280)
        panels.append(
            alt.Chart(alt.Data(values=rows))
            .transform_filter("datum.of == policy")
            .transform_flatten(["distances"], as_=["distance"])
            .transform_window([{"op": "row_number", "as": "column"}], groupby=["row"])
            .transform_calculate(first=set_of("datum.row"), second=set_of("datum.column"))
            .mark_rect()
            .encode(
                x=alt.X("column:O", axis=axis),
                y=alt.Y("row:O", axis=axis),
                color=alt.Color("distance:Q", scale=scale, title=None, legend=legend),
                tooltip=["first:N", "second:N", *figures.numbers("distance", format=".3f")],
            )
            .properties(width=300, height=300, title=TITLES[kind])
        )
    return figures.finished(alt.hconcat(*panels).add_params(chosen).resolve_scale(color="independent"))
