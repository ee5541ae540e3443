"""Comparison of the policies' actions with logged actions: the article's distances and its autoencoder's errors."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from evaluation.protocols.cases import at_most
from evaluation.protocols.distances import Acting, Distance
from evaluation.protocols.distribution import (
    KINDS,
    SMALLEST_STD,
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
from evaluation.record import Record
from evaluation.report.sections.actions.values import Values, measure_values
from models.autoencoder import Autoencoder, fit_autoencoder
from models.histories import Histories
from models.threads import one_thread
from storage.dataset.reader import TransitionDataset
from storage.errors import DatasetError

SETS = ("real", "train", "test", "noise")
IN_MATRICES = ("real", "train", "test")
PAIRS = ("real-real", "train-train", "test-test", "real-test")
MATRIX_ROWS = 24  # of each set
PAIR_ROWS = 500  # of each set: 124,750 pairs
AUTOENCODER_STEPS = 1500
BATCH = 256  # histories at a time
SMALLEST_ERROR = 1e-12  # so that every error has a logarithm
Actions = dict[str, NDArray[np.float32]]


class Described(Record):
    """Summary of a sample; its density is at the points of the section's grid and empty for an empty sample."""

    moments: Moments
    density: tuple[float, ...]


class Distances(Record):
    """Distances of one kind: by pair of sets, and as a matrix over rows of real, train and test, to 4 digits."""

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


class PolicyActions(Record):
    """One policy's actions and logged actions: distances by kind, errors by set; the critics' values, if it has critics."""

    policy: str
    distances: dict[str, Distances]
    errors: dict[str, Errors]
    values: Values | None


class ActionsSection(Record):
    """Four sets of actions.

    Real: logged actions of held-out users. Train and test: the policy's actions in states of training users and of the same
    held-out users. Noise: random directions with the lengths of the real actions.

    Attributes:
        held_out: the split of real and test.
        rows: the size of each set.
        variance_kept: share of the variance of real actions, unseen in its training, that the autoencoder reconstructs.
        negatives_kept: share of their negative coordinates that it reconstructs as negative.
        grids: the points of the densities: of cosine and euclidean distances, and of log10 of the error.
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
        """The kinds of distances, in the order of the page."""
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
    """Compare at most `sample` actions per set, at most PAIR_ROWS of them in pairs; equal seeds draw equal states.

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
    train, test = at_most(training, sample, seed), at_most(held_out, sample, seed)
    with one_thread():
        # Its narrow layer, of half the width, makes it reconstruct real actions well and noise badly.
        known = logged(dataset, at_most(training, 20 * sample, seed + 1))
        autoencoder = fit_autoencoder(known, 2 * dataset.dim, max(dataset.dim // 2, 1), AUTOENCODER_STEPS, seed=seed)
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
    variance_kept, negatives_kept = reconstructed(autoencoder, real)
    return ActionsSection(
        held_out=split,
        rows={name: len(train if name == "train" else test) for name in SETS},
        variance_kept=variance_kept,
        negatives_kept=negatives_kept,
        grids={name: rounded(grid) for name, grid in grids.items()},
        policies=tuple(
            PolicyActions(
                policy=name,
                distances={
                    kind: summary_of_distances(kind, distances[kind][name], sets, grids[kind]) for kind in KINDS
                },
                errors=summary_of_errors(errors[name], grids["error"]),
                values=measure_values(dataset, policies[name], test, seed),
            )
            for name, sets in actions.items()
        ),
    )


def logged(dataset: TransitionDataset, starts: Tensor) -> Tensor:
    """The logged actions (B, D) of `starts` (B,)."""
    actions: Tensor = dataset.embedding[dataset.target_items(starts)]
    return actions


def act_on(dataset: TransitionDataset, policy: Acting, starts: Tensor) -> Tensor:
    """The policy's actions (B, D) in the states before `starts` (B,)."""
    return torch.cat([policy.act(Histories(*dataset.histories(part))) for part in starts.split(BATCH)])


def random_directions(actions: Tensor, seed: int) -> Tensor:
    """Vectors (B, D) in uniformly random directions with the lengths of the actions."""
    directions = torch.randn(actions.shape, generator=torch.Generator().manual_seed(seed)).to(actions.device)
    noise: Tensor = normalize(directions, dim=1) * actions.norm(dim=1, keepdim=True)
    return noise


def spread(rows: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """At most `most` evenly spaced rows of (N, D), since neighbouring rows are often of one user: (min(N, most), D)."""
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)
    return np.asarray(rows[places])


def distances_of_pairs(kind: Distance, actions: Actions) -> dict[str, Sample]:
    """Distances (P,) of every pair of sets in PAIRS; every set has at least one row.

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


def summary_of_distances(kind: Distance, pairs: dict[str, Sample], actions: Actions, grid: Sample) -> Distances:
    """Summarise the distances of one policy and kind."""
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


def summary_of_errors(errors: dict[str, Sample], grid: Sample) -> dict[str, Errors]:
    """Summarise the errors of one policy's sets and compare them with one another.

    Args:
        errors: by set its rows' errors (N,).
        grid: (G,) log10 of the errors, the points of the densities.
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


def reconstructed(autoencoder: Autoencoder, actions: Tensor) -> tuple[float | None, float | None]:
    """The shares of the variance of actions (N, D) and of their negative coordinates that an autoencoder reconstructs.

    None if the actions are all equal, and if none of their coordinates is negative.
    """
    variance = float(actions.double().var(0, correction=0).mean())
    negative = actions < 0
    with torch.no_grad():
        kept = autoencoder(actions)[negative] < 0
    return (
        1 - float(autoencoder.errors(actions).mean()) / variance if variance > SMALLEST_STD else None,
        float(kept.float().mean()) if len(kept) else None,
    )


def logarithm(errors: Sample) -> Sample:
    """The log10 of errors."""
    return np.log10(np.maximum(errors, SMALLEST_ERROR))


def rounded(curve: Sample) -> tuple[float, ...]:
    """The values to 4 significant digits, more than a chart can show."""
    return tuple(float(f"{value:.4g}") for value in curve)
