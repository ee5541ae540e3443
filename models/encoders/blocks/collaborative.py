"""Collaborative features: factors of the matrix of training users and the items they rated."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.encoders.columns import ItemColumns, TrainingEvents
from models.encoders.sums import Counts, Sums
from models.encoders.tabular import Block, FeatureBlock, Fit, blank_block, with_values

PRIOR = 5.0  # events of an item at which its vector has half a popular one's squared length
SPARE = 16  # additional columns, with which the wanted ones converge in fewer rounds
LEAST_SQUARE = 1e-9  # of a column: smaller values are rounding errors of float32 sums
ROUNDS = 2  # of subspace iteration
PARTS = 8  # of the users; fixed, so that sums have one order on any number of cores


def event_factors(events: TrainingEvents, items: int, most: int) -> NDArray[np.float32]:
    """At most `most` factors of each item with training events, (I, ≤ most); the other items get zeros.

    Directions come from the normalised matrix of users and items; lengths from the number of events alone, so that
    items with few events have short vectors.
    """
    count = np.bincount(events.item, minlength=items)
    seen = np.flatnonzero(count)  # the factors must not depend on the number of items without events
    place = np.zeros(items, dtype=np.int32)
    place[seen] = np.arange(len(seen))
    factors = item_factors(events.user, place[events.item], count[seen], most)
    length = np.linalg.norm(factors, axis=1, keepdims=True)
    strength = np.sqrt(count[seen] / (count[seen] + PRIOR))[:, None]
    values = np.zeros((items, factors.shape[1]), dtype=np.float32)
    values[seen] = factors / np.where(length > 0, length, 1) * strength
    return values


def collect(items: ItemColumns) -> Sums:
    """The names of the factors."""
    factors = items.of_events.get("collaborative", np.zeros((0, 0)))
    names = [f"factor {place + 1}" for place in range(factors.shape[1])]
    return Sums(names=Counts(dict.fromkeys(names, len(items.train))))


def finish(sums: Sums) -> Fit:
    """One column for each factor."""
    return Fit(list(sums["names"]))


def apply(fit: Fit, items: ItemColumns) -> Block:
    """The factors as they are, (I, W); an item without events is zeros."""
    if "collaborative" not in items.of_events:
        return blank_block(fit, items)
    return with_values(items.of_events["collaborative"])


def item_factors(
    user: NDArray[np.int32], item: NDArray[np.int32], count: NDArray[np.int64], most: int
) -> NDArray[np.float32]:
    """Right singular vectors of the normalised user-item matrix, each times its singular value; (I, ≤ most) float32.

    An entry is 1/√(events of the user · events of the item): users and items with many events do not dominate.
    The root of popularity is a singular vector of every such matrix, and is left out. Equal events give equal factors:
    the start is drawn from a fixed seed, and signs are fixed.

    Args:
        user: (N,) of each event, 0-based.
        item: (N,) of each event, 0-based.
        count: (I,) events of each item, at least 1.
        most: factors wanted.
    """
    users = int(user.max(initial=-1)) + 1
    wanted = min(most, users - 1, len(count) - 1)
    if wanted < 1:
        return np.zeros((len(count), 0), dtype=np.float32)
    parts = normalised_parts(user, item, count, users)
    columns = min(wanted + SPARE, len(count))
    popularity = np.sqrt(count / count.sum()).astype(np.float32)[:, None]
    basis = np.random.default_rng(0).standard_normal((len(count), columns), dtype=np.float32)
    with ThreadPoolExecutor() as pool:
        for _ in range(ROUNDS):
            basis = gram_times(parts, basis - popularity * (popularity.T @ basis), pool)
            basis = orthonormal(basis - popularity * (popularity.T @ basis))
            if not basis.shape[1]:  # all users rated the same items
                return np.zeros((len(count), 0), dtype=np.float32)
        image = gram_times(parts, basis, pool)
    squares, rotation = np.linalg.eigh((basis.T @ image).astype(np.float64))
    chosen = np.argsort(-squares)[:wanted]
    chosen = chosen[squares[chosen] > 1e-6]
    vectors = basis @ rotation[:, chosen].astype(np.float32)
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(chosen))])
    return np.asarray(vectors * (signs * np.sqrt(squares[chosen])).astype(np.float32), dtype=np.float32)


def normalised_parts(
    user: NDArray[np.int32], item: NDArray[np.int32], count: NDArray[np.int64], users: int
) -> list[csr_matrix]:
    """The user-item matrix in PARTS slices of users, each (u, I) float32."""
    if (np.diff(user) < 0).any():
        order = np.argsort(user, kind="stable")
        user, item = user[order], item[order]
    offsets = np.searchsorted(user, np.arange(users + 1, dtype=user.dtype))
    item_scale = np.sqrt(1 / count).astype(np.float32)
    user_scale = np.sqrt(1 / np.maximum(np.diff(offsets), 1)).astype(np.float32)
    entries = item_scale[item] * user_scale[user]
    cuts = np.linspace(0, users, PARTS + 1).astype(int)
    return [
        csr_matrix(
            (
                entries[offsets[first] : offsets[last]],
                item[offsets[first] : offsets[last]],
                (offsets[first : last + 1] - offsets[first]).astype(np.int32),
            ),
            shape=(last - first, len(count)),
        )
        for first, last in pairwise(cuts)
    ]


def orthonormal(columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """An orthonormal basis of the columns' span, (I, ≤ C) float32; from their C × C products, which is much faster than QR."""
    squares, rotation = np.linalg.eigh((columns.T @ columns).astype(np.float64))
    kept = squares > max(LEAST_SQUARE, 1e-6 * float(squares.max(initial=0)))
    return np.asarray(columns @ (rotation[:, kept] / np.sqrt(squares[kept])).astype(np.float32))


def gram_times(parts: list[csr_matrix], basis: NDArray[np.float32], pool: ThreadPoolExecutor) -> NDArray[np.float32]:
    """Aᵀ A basis without making Aᵀ A, (I, columns) float32; SciPy releases the GIL, so that parts run in parallel."""
    total = np.zeros_like(basis)
    for product in pool.map(lambda part: part.T @ (part @ basis), parts):
        total += product
    return total


BLOCK = FeatureBlock(
    "collaborative",
    collect,
    finish,
    apply,
    weight=1.0,
    note="Factors of who watched what among training users.",
    named=False,
    of_events=partial(event_factors, most=64),
)
