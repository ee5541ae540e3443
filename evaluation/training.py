"""The report's section on how training went."""

import pandas as pd

from evaluation import figures

CHARTS = ("values", "gradients", "shares", "distances", "spread")
VALUES = ("value_logged", "value_policy", "value_target")
GRADIENTS = ("actor_gradient_norm", "critic_gradient_norm")
SHARES = ("actor_steps_clipped", "critic_steps_clipped", "targets_clipped", "action_saturation")
DISTANCES = ("action_cosine_to_logged", "action_cosine_among", "action_euclidean_to_logged", "action_euclidean_among")
SPREAD = ("kl_to_logged", "action_effective_rank")


def charts(curves: pd.DataFrame) -> list[tuple[str, str, str, figures.Spec]]:
    """(id, title, note, specification) of the diagnostics' charts; those that no learner has numbers for are left out.

    Args:
        curves: columns learner, step, split, metric, value.
    """
    there = set(curves["metric"])
    found = []
    if any(f"{name}_q50" in there for name in VALUES):
        note = (
            "Q of the logged actions, of the policy's own, and the targets: median, middle half, middle 90 % of held-out "
            "transitions. Policy values far above the logged ones are overestimation."
        )
        found.append(("values", "Values", note, figures.bands(curves, VALUES, "Q")))
    for name, title, metrics, unit, note in (
        ("gradients", "Gradient norms", GRADIENTS, "norm", "Before they are shortened; means between log rows."),
        ("shares", "Clipped", SHARES, "share", "Of steps, of targets, and of the actions' coordinates at their bound."),
    ):
        if there & set(metrics):
            found.append((name, title, note, figures.curves(curves, metrics, unit)))
    if any(f"{name}_q50" in there for name in DISTANCES):
        note = "From the policy's actions to the logged ones of the same states, and among themselves; bands as above."
        found.append(("distances", "Distances of actions", note, figures.bands(curves, DISTANCES, "distance")))
    if there & set(SPREAD):
        note = (
            "KL from the logged actions to the policy's (nats, Gaussians in 8 principal components), and in how many "
            "directions the actions go (effective rank of their Gram matrix)."
        )
        found.append(("spread", "Spread of actions", note, figures.curves(curves, SPREAD, "")))
    return found
