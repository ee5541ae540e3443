"""How like logged actions the policies' actions are: the article's distances, and its autoencoder's errors."""

from collections.abc import Mapping

import altair as alt
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from evaluation.protocols.cases import choose
from evaluation.protocols.distances import Acting, Distance
from evaluation.protocols.distribution import (
    ALIKE,
    KINDS,
    Moments,
    Sample,
    common_grid,
    density,
    kl_divergence,
    moments,
    pair_distances,
    pairwise,
    wasserstein,
)
from evaluation.report import figures
from evaluation.report.page import Chart
from evaluation.report.sections.section import Section
from models.autoencoder import Autoencoder, fit_autoencoder
from models.diagnostics import one_thread
from models.histories import Histories
from storage.dataset.reader import TransitionDataset
from storage.errors import DatasetError

SETS = ("real", "train", "test", "noise")
IN_MATRICES = ("real", "train", "test")
PAIRS = ("real-real", "train-train", "test-test", "real-test")
MATRIX_ROWS = 24  # of each set
PAIR_ROWS = 500  # of each set: 124,750 pairs
AUTOENCODER_STEPS = 1500
BATCH = 256  # histories acted upon at a time
SMALLEST_ERROR = 1e-12  # errors have a logarithm
Actions = dict[str, NDArray[np.float32]]


class Described(Section):
    """A sample in short; the density belongs to the section's grid of the same quantity and is empty without a sample."""

    moments: Moments
    density: tuple[float, ...]


class Distances(Section):
    """Distances of one kind: by pair of sets, and between rows of real, train and test in turn, to 4 digits."""

    pairs: dict[str, Described]
    matrix: tuple[tuple[float | None, ...], ...]


class Errors(Described):
    """Mean squared reconstruction errors of one set of actions; the density is of their log10.

    Attributes:
        wasserstein_to: by another set's name, the 1-Wasserstein distance of both sets' errors.
        kl_from: by another set's name, KL(other ‖ this) of log10 errors, in nats.
    """

    wasserstein_to: dict[str, float | None]
    kl_from: dict[str, float | None]


class PolicyActions(Section):
    """One policy's actions beside logged ones: distances by kind, errors by set."""

    policy: str
    distances: dict[str, Distances]
    errors: dict[str, Errors]


class ActionsSection(Section):
    """Four sets of actions, compared.

    Real are those logged of held-out users; train and test the policy's, in states of training and of the same held-out
    users; noise random directions, as long as the real ones.

    Attributes:
        held_out: the split of real and test.
        rows: of each set.
        variance_kept: share of the variance of real actions, which it did not see, that the autoencoder rebuilds.
        negatives_kept: share of their negative coordinates that it rebuilds as negative.
        grids: where densities are given: of cosine, of euclidean, and of error, its log10.
        policies: in the order given.
    """

    held_out: str
    rows: dict[str, int]
    variance_kept: float | None
    negatives_kept: float | None
    grids: dict[str, tuple[float, ...]]
    policies: tuple[PolicyActions, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of distances, in the order of the page."""
        return KINDS

    @property
    def pairs(self) -> tuple[str, ...]:
        """Pairs of sets, in the order of the page."""
        return PAIRS

    @property
    def sets(self) -> tuple[str, ...]:
        """Sets of actions, in the order of the page."""
        return SETS


def measure_actions(
    dataset: TransitionDataset, policies: Mapping[str, Acting], sample: int = 500, seed: int = 0
) -> ActionsSection:
    """Compare at most `sample` actions per set, and of them at most PAIR_ROWS in pairs; equal seeds draw equal states.

    Raises:
        DatasetError: there is no training or no held-out transition.
    """
    training, held_out, split = dataset.starts("train"), dataset.starts("test"), "test"
    if not len(held_out):
        held_out, split = dataset.starts("validation"), "validation"
    if not len(training) or not len(held_out):
        raise DatasetError(
            f"{dataset.path}: expected training and held-out users with more than {dataset.frame} events; found "
            f"{len(training)} training and {len(held_out)} held-out transitions. Give more ratings or raise export.splits."
        )
    train, test = choose(training, sample, seed), choose(held_out, sample, seed)
    autoencoder = fit(logged(dataset, choose(training, 20 * sample, seed + 1)), seed)
    real = logged(dataset, test)
    noise = random_directions(real, seed)
    actions, errors = {}, {}
    for name, policy in policies.items():
        sets = dict(
            zip(SETS, (real, act_on(dataset, policy, train), act_on(dataset, policy, test), noise), strict=True)
        )
        actions[name] = {kind: sets[kind].cpu().numpy() for kind in IN_MATRICES}
        errors[name] = {kind: autoencoder.errors(rows).double().cpu().numpy() for kind, rows in sets.items()}
    distances = {kind: {name: distances_of_pairs(kind, sets) for name, sets in actions.items()} for kind in KINDS}
    grids = {
        kind: common_grid((sample for pairs in of_kind.values() for sample in pairs.values()), lowest=0)
        for kind, of_kind in distances.items()
    } | {"error": common_grid(logarithm(sample) for sets in errors.values() for sample in sets.values())}
    variance_kept, negatives_kept = rebuilt(autoencoder, real)
    return ActionsSection(
        held_out=split,
        rows={name: len(train if name == "train" else test) for name in SETS},
        variance_kept=variance_kept,
        negatives_kept=negatives_kept,
        grids={name: rounded(grid) for name, grid in grids.items()},
        policies=tuple(
            PolicyActions(
                policy=name,
                distances={kind: described(kind, distances[kind][name], sets, grids[kind]) for kind in KINDS},
                errors=compared(errors[name], grids["error"]),
            )
            for name, sets in actions.items()
        ),
    )


def logged(dataset: TransitionDataset, starts: Tensor) -> Tensor:
    """The actions (B, D) that users took."""
    actions: Tensor = dataset.embedding[dataset.target_items(starts)]
    return actions


def fit(actions: Tensor, seed: int) -> Autoencoder:
    """An autoencoder of real actions (N, D), half as wide at its waist: it rebuilds most of them and little of noise."""
    dim = actions.shape[1]
    with one_thread():
        return fit_autoencoder(actions, 2 * dim, max(dim // 2, 1), AUTOENCODER_STEPS, seed=seed)


def act_on(dataset: TransitionDataset, policy: Acting, starts: Tensor) -> Tensor:
    """The policy's actions (B, D) in the same states."""
    return torch.cat([policy.act(Histories(*dataset.histories(part))) for part in starts.split(BATCH)])


def random_directions(actions: Tensor, seed: int) -> Tensor:
    """Vectors (B, D) in uniformly random directions, each as long as an action."""
    directions = torch.randn(actions.shape, generator=torch.Generator().manual_seed(seed)).to(actions.device)
    noise: Tensor = normalize(directions, dim=1) * actions.norm(dim=1, keepdim=True)
    return noise


def spread(rows: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """At most `most` of the rows (N, D), evenly, (min(N, most), D): neighbours are often of one user."""
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)
    return np.asarray(rows[places])


def distances_of_pairs(kind: Distance, actions: Actions) -> dict[str, Sample]:
    """Distances (P,) of every pair of sets in PAIRS, by the pair, which have a row or more.

    Args:
        kind: of KINDS.
        actions: by set rows (N, D).
    """
    some = {name: spread(rows, PAIR_ROWS) for name, rows in actions.items()}
    found = {}
    for pair in PAIRS:
        first, second = pair.split("-")
        found[pair] = pair_distances(kind, some[first], None if first == second else some[second])
    return found


def described(kind: Distance, pairs: dict[str, Sample], actions: Actions, grid: Sample) -> Distances:
    """Distances of one policy and kind in short."""
    rows = np.concatenate([spread(actions[name], MATRIX_ROWS) for name in IN_MATRICES])
    return Distances(
        pairs={
            pair: Described(moments=moments(sample), density=rounded(density(sample, grid)))
            for pair, sample in pairs.items()
        },
        matrix=tuple(
            tuple(round(value, 4) if np.isfinite(value) else None for value in row)
            for row in pairwise(kind, rows, rows).tolist()
        ),
    )


def compared(errors: dict[str, Sample], grid: Sample) -> dict[str, Errors]:
    """Errors of one policy's sets in short, and against one another.

    Args:
        errors: by set its rows' errors (N,).
        grid: (G,) log10 of the errors at which densities are given.
    """
    others = {name: [other for other in errors if other != name] for name in errors}
    return {
        name: Errors(
            moments=moments(sample),
            density=rounded(density(logarithm(sample), grid)),
            wasserstein_to={other: wasserstein(errors[other], sample) for other in others[name]},
            kl_from={other: kl_divergence(logarithm(errors[other]), logarithm(sample)) for other in others[name]},
        )
        for name, sample in errors.items()
    }


def rebuilt(autoencoder: Autoencoder, actions: Tensor) -> tuple[float | None, float | None]:
    """The shares of the variance of actions (N, D) and of their negative coordinates that an autoencoder rebuilds.

    None: the actions are all alike; none of their coordinates is negative.
    """
    variance = float(actions.double().var(0, correction=0).mean())
    negative = actions < 0
    with torch.no_grad():
        kept = autoencoder(actions)[negative] < 0
    return (
        1 - float(autoencoder.errors(actions).mean()) / variance if variance > ALIKE else None,
        float(kept.float().mean()) if len(kept) else None,
    )


def logarithm(errors: Sample) -> Sample:
    """log10 of errors."""
    return np.log10(np.maximum(errors, SMALLEST_ERROR))


def rounded(curve: Sample) -> tuple[float, ...]:
    """To 4 significant digits, more than a line can show."""
    return tuple(float(f"{value:.4g}") for value in curve)


COLOURS = {
    "real": "#808890", "train": "#4c8bd6", "test": "#e08a3c", "noise": "#9a76c9",
    "real-real": "#808890", "train-train": "#4c8bd6", "test-test": "#e08a3c", "real-test": "#57a773",
}  # fmt: skip
DASHES = {"real-test": [5, 3], "noise": [2, 2]}
TITLES = {"cosine": "Cosine distance (1 − cos)", "euclidean": "Euclidean distance"}
Curve = tuple[str, str, tuple[float, ...]]  # policy, what of it, density


def charts(section: ActionsSection) -> list[Chart]:
    """The matrices, the distributions of both kinds of distances, and those of the errors."""
    if not section.policies:
        return []
    note = (
        "Logged actions (real), and the policy's in training and in held-out users' states; every cell is one pair. "
        "Dark: nearly the same action."
    )
    made: list[Chart] = [("action-matrices", "Distances, pair by pair", note, matrices(section))]
    note = (
        "Grey: how far logged actions lie from one another. Curves are drawn equally high: read where each lies and how "
        "wide it is. A peak at 0 is one answer for everybody."
    )
    for kind in KINDS:
        found = [
            (policy.policy, pair, policy.distances[kind].pairs[pair].density)
            for policy in section.policies
            for pair in PAIRS
        ]
        spec = density_curves(found, section.grids[kind], alt.X("x:Q", title=None))
        made.append((f"action-{kind}", TITLES[kind], note, spec))
    note = (
        "Of an autoencoder that learnt logged training actions; the further right, the less like anything logged. "
        "Over grey: like what users choose. Over noise: as good as a random direction."
    )
    errors = [(policy.policy, name, policy.errors[name].density) for policy in section.policies for name in SETS]
    grid = tuple(10**value for value in section.grids["error"])
    x = alt.X("x:Q", title="mean squared error", axis=alt.Axis(format="~g", tickCount=4, grid=False))
    made.append(("action-errors", "Reconstruction errors", note, density_curves(errors, grid, x, scale="log")))
    return made


def density_curves(curves: list[Curve], grid: tuple[float, ...], x: alt.X, scale: str = "linear") -> figures.Spec:
    """Curves of densities, a panel per policy, each as high as the others.

    Args:
        curves: an empty density is left out.
        grid: x of the points.
        x: how the axis looks.
        scale: its type.
    """
    rows = [
        {"policy": policy, "name": name, "x": grid, "height": rounded(np.array(density) / max(density))}
        for policy, name, density in curves
        if max(density, default=0) > 0
    ]
    names, policies = list(dict.fromkeys(row[1] for row in curves)), list(dict.fromkeys(row[0] for row in curves))
    columns = min(3, len(policies))
    colour = alt.Scale(domain=names, range=[COLOURS[name] for name in names])
    dash = alt.Scale(domain=names, range=[DASHES.get(name, [1, 0]) for name in names])
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
        .facet(facet=alt.Facet("policy:N", sort=policies, title=None), columns=columns)
    )
    return figures.finished(chart)


def matrices(section: ActionsSection) -> figures.Spec:
    """Both matrices of one policy, side by side, and where there are several a field to choose it."""
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
                tooltip=["first:N", "second:N", alt.Tooltip("distance:Q", format=".3f")],
            )
            .properties(width=300, height=300, title=TITLES[kind])
        )
    return figures.finished(alt.hconcat(*panels).add_params(chosen).resolve_scale(color="independent"))
