"""How training went: losses, validation ranking, values, gradients, actions, and what looked wrong on the way."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from evaluation.report import figures
from evaluation.report.page import Chart
from evaluation.report.sections.section import Section
from models.early_warnings import checks_made

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
CHECKS = {
    "values-explode": "values against possible returns",
    "policy-overfits": "overfitting",
    "actor-saturates": "saturated actions",
    "actions-collapse": "actions that are all alike",
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


class Watched(Section):
    """What early warnings of a learner could have been given."""

    learner: str
    looks: int = Field(description="How often validation users were looked at while it trained.")
    checks: tuple[str, ...] | None = Field(
        description="Kinds of warning that enough was logged for; None where its making tells of no warnings at all."
    )

    @property
    def says(self) -> str:
        """What was checked, in words."""
        if self.checks is None:
            return "nothing was recorded of early warnings"
        looks = f"{self.looks} look{'' if self.looks == 1 else 's'} at validation users"
        checked = ", ".join(CHECKS[kind] for kind in self.checks) or "too little was logged"
        return f"{checked} ({looks})"


class TrainingSection(Section):
    """Curves, thinned to what a chart can show, and early warnings."""

    curves: tuple[Curve, ...]
    warnings: tuple[EarlyWarning, ...]
    watched: tuple[Watched, ...] = Field((), description="By learner: what warnings could have been of.")


def measure_training(
    curves: Mapping[str, pd.DataFrame], warnings: Mapping[str, Sequence[Mapping[str, Any]] | None]
) -> TrainingSection:
    """What is drawn and said of every learner's training.

    Args:
        curves: by learner a table with columns step, split, metric, value.
        warnings: by learner what was warned of: kind, step, message; None where nothing is known of it.
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
        for one in found or ()
    ]
    return TrainingSection(
        curves=tuple(kept),
        warnings=tuple(said),
        watched=tuple(watched(learner, curves.get(learner), found) for learner, found in warnings.items()),
    )


def watched(learner: str, table: pd.DataFrame | None, warnings: Sequence[Mapping[str, Any]] | None) -> Watched:
    """What could be warned of, by a learner's table with columns step, split, metric, value."""
    if table is None or warnings is None:
        return Watched(learner=learner, looks=0, checks=None)
    looked = table[table["split"] == "validation"]
    rows = list(table[["step", "split", "metric", "value"]].itertuples(index=False, name=None))
    return Watched(learner=learner, looks=int(looked["step"].nunique()), checks=tuple(checks_made(rows)))


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
