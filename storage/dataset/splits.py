"""Choose what is held out: disjoint users and the events after one global time cut, or the last two events of every user."""

import hashlib
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

SplitMode = Literal["users", "leave-one-out"]
HELD_OUT = 2  # last events of each user that leave-one-out holds out: one for validation, then one for test


class SplitParams(BaseModel):
    """What is held out from training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: SplitMode = Field(
        "users",
        description="users: disjoint users and one time cut. leave-one-out: of every user the last event for test and the one "
        "before it for validation; training sees all others [Kang & McAuley 2018, §4.1].",
    )
    seed: int = Field(13, ge=0, le=2**63 - 1, description="Key of the hash that assigns users to splits.")
    validation: float = Field(0.1, gt=0, lt=0.5, description="Fraction of users that checkpoints are selected on.")
    test: float = Field(0.2, gt=0, lt=0.5, description="Fraction of users that policies are evaluated on.")
    time_quantile: float = Field(0.9, gt=0, le=1, description="Fraction of events before the global time cut.")

    @model_validator(mode="after")
    def _leaves_training_users(self) -> "SplitParams":
        if self.validation + self.test >= 0.9:
            raise ValueError(
                f"validation + test: expected less than 0.9 of the users, so that some are left to train; found "
                f"{self.validation + self.test:g}. Lower one of them."
            )
        return self

    @model_validator(mode="after")
    def _leave_one_out_has_no_fractions(self) -> "SplitParams":
        given = {
            name: value
            for name, value in self.model_dump(exclude={"mode"}).items()
            if value != type(self).model_fields[name].default
        }
        if self.mode == "leave-one-out" and given:
            raise ValueError(
                f"mode leave-one-out: expected no seed, fraction or quantile, because it holds out the last events of all users; "
                f"found {given}. Remove them."
            )
        return self


def split_users(user_ids: NDArray[np.int64], params: SplitParams) -> NDArray[np.uint8]:
    """Codes of `storage.dataset.format.SPLIT_NAMES` per user, (U,) uint8; a user's split does not depend on the other users.

    With three users or more no split is left empty: the users with the smallest hashes fill it. With leave-one-out all
    users are training users.
    """
    if params.mode == "leave-one-out":
        return np.zeros(len(user_ids), dtype=np.uint8)
    fraction = user_fractions(user_ids, params.seed)
    # By rank rather than by threshold, so that each split gets at least one of three or more users.
    users = len(user_ids)
    tested = int((fraction < params.test).sum())
    held_out = int((fraction < params.validation + params.test).sum())
    if users >= 3:
        tested = min(max(tested, 1), users - 2)
        held_out = min(max(held_out, tested + 1), users - 1)
    split = np.zeros(users, dtype=np.uint8)
    order = np.argsort(fraction, kind="stable")
    split[order[:held_out]] = 1
    split[order[:tested]] = 2
    return split


def split_later_users(user_ids: NDArray[np.int64], params: SplitParams) -> NDArray[np.uint8]:
    """Codes, (U,) uint8, of users who join a dataset: their hash alone decides.

    It is the split that `split_users` gives them among all users, unless it had to fill an empty split there.
    """
    fraction = user_fractions(user_ids, params.seed)
    split = (fraction < params.validation + params.test).astype(np.uint8)
    split[fraction < params.test] = 2
    return split


def user_fractions(user_ids: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """A number in [0, 1), (U,), per user: a hash of the id, keyed by the seed."""
    keyed = hashlib.blake2b(digest_size=8, key=seed.to_bytes(8, "little"))
    raw = np.ascontiguousarray(user_ids, dtype="<i8").tobytes()
    digests = []
    for place in range(0, len(raw), 8):
        one = keyed.copy()
        one.update(raw[place : place + 8])
        digests.append(one.digest())
    return np.asarray(np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64) / np.float64(2**64))


def time_cut(timestamps: Iterable[NDArray[np.int64]], params: SplitParams) -> int:
    """The timestamp (unix seconds) up to which `params.time_quantile` of all events lie: their lower quantile, exactly.

    With leave-one-out it is that of the last event, so no time is held out.
    Counts by spans of 2^16 seconds find the span it lies in: nothing as long as all events is held, copied or sorted.

    Args:
        timestamps: all events' in parts of any size and order, 1970 to 2100; gone through twice, so no generator.
        params: the quantile.
    """
    counts = np.zeros(1 << 16, dtype=np.int64)
    for part in timestamps:
        counts += np.bincount(part >> 16, minlength=len(counts))
    upto = np.cumsum(counts)
    if not upto[-1]:
        return 0
    rank = int((upto[-1] - 1) * (1 if params.mode == "leave-one-out" else params.time_quantile))
    span = int(np.searchsorted(upto, rank, side="right"))
    inside = np.concatenate([part[part >> 16 == span] for part in timestamps])
    place = rank - int(upto[span] - counts[span])
    return int(np.partition(inside, place)[place])


def train_until(split: NDArray[np.uint8], cut: int) -> NDArray[np.int64]:
    """The unix second up to which training sees the events and tags of each user, (U,): the cut, or -1 for held-out users."""
    return np.where(split == 0, np.int64(cut), np.int64(-1))


def before_held_out(number: NDArray[np.int64], timestamps: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The last unix second, (U,), before the events of each user that leave-one-out holds out.

    Training events of the same second as a held-out one are lost by this bound; no held-out event is within it.

    Args:
        number: (U,) events of each user, at least one.
        timestamps: all events' in parts, one user after another, each user's in time order.
    """
    places = np.cumsum(number) - np.minimum(number, HELD_OUT)
    found, before = [], 0
    for part in timestamps:
        first, end = np.searchsorted(places, (before, before + len(part)))
        found.append(part[places[first:end] - before])
        before += len(part)
    return np.concatenate([np.zeros(0, np.int64), *found]) - 1
