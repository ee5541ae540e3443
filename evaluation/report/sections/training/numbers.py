"""Training curves: losses, validation metrics, values, gradients and actions, and the early warnings."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from evaluation.record import Record
from models.early_warnings import checks_made

QUANTILES = ("q05", "q25", "q50", "q75", "q95")


class Panels(NamedTuple):
    """One chart of training curves: its id, its caption, its metrics and their unit.

    With `bands`, metric m is the quantiles of held-out transitions that are logged as m_q05, m_q25, m_q50, m_q75 and m_q95.
    """

    id: str
    title: str
    note: str
    metrics: tuple[str, ...]
    unit: str
    bands: bool = False

    @property
    def logged(self) -> set[str]:
        """The names of the logged metrics."""
        return {f"{name}_{level}" for name in self.metrics for level in QUANTILES} if self.bands else set(self.metrics)


CHARTS = (
    Panels(
        "losses",
        "Losses",
        "Dashed: the same losses on users outside the training data.",
        ("critic_loss", "actor_loss"),
        "loss",
    ),
    Panels(
        "validation",
        "Validation metrics",
        "On the validation users during training; the checkpoint with the highest NDCG@10 is kept as the policy.",
        ("ndcg@10", "recall@10"),
        "mean over users",
    ),
    Panels(
        "returns",
        "Return with simulated users",
        "On the validation users, of policies that were trained with simulated users; that with the highest return is kept.",
        ("return",),
        "sum of rewards",
    ),
    Panels(
        "values",
        "Values",
        "Q of the logged actions, Q of the policy's actions, and the targets: median, middle half and middle 90 % of held-out "
        "transitions. Policy values far above the logged ones are overestimates.",
        ("value_logged", "value_policy", "value_target"),
        "Q",
        bands=True,
    ),
    Panels(
        "gradients",
        "Gradient norms",
        "Before clipping; means between log rows.",
        ("actor_gradient_norm", "critic_gradient_norm"),
        "norm",
    ),
    Panels(
        "shares",
        "Clipped",
        "Shares of clipped steps, of clipped targets, and of the actions' coordinates at their bound.",
        ("actor_steps_clipped", "critic_steps_clipped", "targets_clipped", "action_saturation"),
        "share",
    ),
    Panels(
        "action-distances",
        "Distances of actions",
        "From the policy's actions to the logged actions of the same states, and among the policy's actions; bands as for values.",
        ("action_cosine_to_logged", "action_cosine_among", "action_euclidean_to_logged", "action_euclidean_among"),
        "distance",
        bands=True,
    ),
    Panels(
        "spread",
        "Spread of actions",
        "KL divergence from the logged actions to the policy's (nats, Gaussians in 8 principal components), and the effective rank "
        "of the Gram matrix of the actions (the number of directions they use).",
        ("kl_to_logged", "action_effective_rank"),
        "",
    ),
)
DRAWN = frozenset().union(*(panels.logged for panels in CHARTS))
CHECKS = {
    "values-explode": "values beyond possible returns",
    "policy-overfits": "overfitting",
    "actor-saturates": "saturated actions",
    "actions-collapse": "collapsed actions (all nearly equal)",
}
MOST_CURVE_POINTS = 60  # of one curve: a panel has no room for more


class Curve(Record):
    """One metric of one learner over its updates; `split` names the transitions it is measured on."""

    learner: str
    split: str
    metric: str
    steps: tuple[int, ...]
    values: tuple[float | None, ...]


class EarlyWarning(Record):
    """An early warning of one learner."""

    learner: str
    kind: str
    step: int
    message: str


class Watched(Record):
    """The early warnings that were checked for while a learner trained."""

    learner: str
    looks: int = Field(description="Number of validations while it trained.")
    checks: tuple[str, ...] | None = Field(
        description="Kinds of warnings for which enough was logged; None if its manifest records no warnings."
    )

    @property
    def description(self) -> str:
        """The checks as text."""
        if self.checks is None:
            return "early warnings were not recorded"
        validations = f"{self.looks} validation{'' if self.looks == 1 else 's'}"
        checked = ", ".join(CHECKS[kind] for kind in self.checks) or "too little was logged"
        return f"{checked} ({validations})"


class TrainingSection(Record):
    """Curves, thinned for charts, and early warnings."""

    curves: tuple[Curve, ...]
    warnings: tuple[EarlyWarning, ...]
    watched: tuple[Watched, ...] = Field((), description="By learner: the checks.")


def measure_training(
    curves: Mapping[str, pd.DataFrame], warnings: Mapping[str, Sequence[Mapping[str, Any]] | None]
) -> TrainingSection:
    """Collect the curves and early warnings of every learner.

    Args:
        curves: by learner a table with columns step, split, metric, value.
        warnings: by learner its warnings (kind, step, message); None if they were not recorded.
    """
    kept = []
    for learner, table in curves.items():
        wanted = table[table["metric"].isin(DRAWN)]
        for (split, metric), rows in wanted.groupby(["split", "metric"], sort=True):
            # Evenly spaced rows, the first and the last among them.
            places = np.linspace(0, len(rows) - 1, min(len(rows), MOST_CURVE_POINTS)).round().astype(int)
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
    """The checks that a learner's table allows; its columns are step, split, metric, value."""
    if table is None or warnings is None:
        return Watched(learner=learner, looks=0, checks=None)
    looked = table[table["split"] == "validation"]
    rows = list(table[["step", "split", "metric", "value"]].itertuples(index=False, name=None))
    return Watched(learner=learner, looks=int(looked["step"].nunique()), checks=tuple(checks_made(rows)))
