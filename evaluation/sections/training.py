"""How training went: losses, validation ranking, values, gradients, actions, and what looked wrong on the way."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from evaluation import figures
from evaluation.page import Chart
from evaluation.sections.section import Section

LOSSES = ("critic_loss", "actor_loss")
RANKING = ("ndcg@10", "recall@10")
VALUES = ("value_logged", "value_policy", "value_target")
GRADIENTS = ("actor_gradient_norm", "critic_gradient_norm")
SHARES = ("actor_steps_clipped", "critic_steps_clipped", "targets_clipped", "action_saturation")
DISTANCES = ("action_cosine_to_logged", "action_cosine_among", "action_euclidean_to_logged", "action_euclidean_among")
SPREAD = ("kl_to_logged", "action_effective_rank")
QUANTILES = ("q05", "q25", "q50", "q75", "q95")
DRAWN = frozenset((*LOSSES, *RANKING, *GRADIENTS, *SHARES, *SPREAD)) | {
    f"{name}_{level}" for name in (*VALUES, *DISTANCES) for level in QUANTILES
}
MOST_POINTS = 60  # of one curve: more than a panel has pixels to tell apart


class Curve(Section):
    """One metric of one learner over its updates; `split` says on whose transitions."""

    learner: str
    split: str
    metric: str
    steps: tuple[int, ...]
    values: tuple[float | None, ...]


class EarlyWarning(Section):
    """Something that looked wrong while a learner trained."""

    learner: str
    kind: str
    step: int
    message: str


class TrainingSection(Section):
    """Curves, thinned to what a chart can show, and early warnings."""

    curves: tuple[Curve, ...]
    warnings: tuple[EarlyWarning, ...]


def measure_training(
    curves: Mapping[str, pd.DataFrame], warnings: Mapping[str, Sequence[Mapping[str, Any]]]
) -> TrainingSection:
    """What is drawn and said of every learner's training.

    Args:
        curves: by learner a table with columns step, split, metric, value.
        warnings: by learner what was warned of: kind, step, message.
    """
    kept = []
    for learner, table in curves.items():
        wanted = table[table["metric"].isin(DRAWN)]
        for (split, metric), rows in wanted.groupby(["split", "metric"], sort=True):
            places = thinned(len(rows))
            steps, values = rows["step"].to_numpy()[places], rows["value"].to_numpy(dtype=float)[places]
            known = [float(value) if np.isfinite(value) else None for value in values]
            kept.append(
                Curve(learner=learner, split=split, metric=metric, steps=tuple(map(int, steps)), values=tuple(known))
            )
    said = [
        EarlyWarning(learner=learner, kind=one["kind"], step=one["step"], message=one["message"])
        for learner, found in warnings.items()
        for one in found
    ]
    return TrainingSection(curves=tuple(kept), warnings=tuple(said))


def thinned(length: int) -> list[int]:
    """At most `MOST_POINTS` places of `length` rows, evenly spread, the first and the last among them."""
    if length <= MOST_POINTS:
        return list(range(length))
    return [round(place) for place in np.linspace(0, length - 1, MOST_POINTS).tolist()]


def rows(section: TrainingSection) -> pd.DataFrame:
    """The curves as columns learner, step, split, metric, value."""
    return pd.DataFrame(
        [
            (curve.learner, step, curve.split, curve.metric, value)
            for curve in section.curves
            for step, value in zip(curve.steps, curve.values, strict=True)
        ],
        columns=["learner", "step", "split", "metric", "value"],
    ).astype({"value": float})


def charts(section: TrainingSection) -> list[Chart]:
    """The charts of what learners have numbers for; what none has is left out."""
    table = rows(section)
    there = set(table["metric"])
    found: list[Chart] = []
    note = "Dashed: the same losses on users that training never saw."
    if there & set(LOSSES):
        found.append(("losses", "Losses", note, figures.curves(table, LOSSES, "loss")))
    note = "On the validation users while training; the best point by NDCG@10 is the policy that is kept."
    if there & set(RANKING):
        found.append(("validation", "Validation ranking", note, figures.curves(table, RANKING, "mean over users")))
    if any(f"{name}_q50" in there for name in VALUES):
        note = (
            "Q of the logged actions, of the policy's own, and the targets: median, middle half, middle 90 % of held-out "
            "transitions. Policy values far above the logged ones are overestimation."
        )
        found.append(("values", "Values", note, figures.bands(table, VALUES, "Q")))
    for name, title, metrics, unit, note in (
        ("gradients", "Gradient norms", GRADIENTS, "norm", "Before they are shortened; means between log rows."),
        ("shares", "Clipped", SHARES, "share", "Of steps, of targets, and of the actions' coordinates at their bound."),
    ):
        if there & set(metrics):
            found.append((name, title, note, figures.curves(table, metrics, unit)))
    if any(f"{name}_q50" in there for name in DISTANCES):
        note = "From the policy's actions to the logged ones of the same states, and among themselves; bands as above."
        found.append(("action-distances", "Distances of actions", note, figures.bands(table, DISTANCES, "distance")))
    if there & set(SPREAD):
        note = (
            "KL from the logged actions to the policy's (nats, Gaussians in 8 principal components), and in how many "
            "directions the actions go (effective rank of their Gram matrix)."
        )
        found.append(("spread", "Spread of actions", note, figures.curves(table, SPREAD, "")))
    return found
