"""Map the ids of a source, of any form, to int64; an id gets the same number in every run and in every file."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.errors import SourceError

PLAIN_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


def stable_id(text: str) -> int:
    """The number itself for a plain number (up to 18 digits, no leading zero), else a hash of the text, 63 bits, ≥ 0.

    Two texts may get the same number by chance: among n hashed texts with probability n² / 2⁶⁴ (10 million: 5 in a million).
    """
    if PLAIN_NUMBER.fullmatch(text):
        return int(text)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def stable_ids(texts: pa.Array | Sequence[str]) -> NDArray[np.int64]:
    """`stable_id` of each text, (N,) int64; each distinct text is converted once.

    Args:
        texts: (N,) strings without nulls.
    """
    encoded = (texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())).dictionary_encode()
    distinct = np.array([stable_id(text) for text in encoded.dictionary.to_pylist()], dtype=np.int64)
    return distinct[encoded.indices.to_numpy(zero_copy_only=False)] if len(distinct) else distinct


def hashed_seconds(users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.int64]:
    """A time from 1970 to 2038 by a hash of user and item, (N,), for events whose order is not known.

    The hash is that of SplitMix64 (Steele, Lea & Flood 2014), which spreads neighbouring ids evenly.

    Args:
        users: (N,) ids.
        items: (N,) ids.
    """
    mixed = items.astype(np.uint64)
    for one in (np.uint64(0), users.astype(np.uint64)):
        mixed = (mixed ^ one) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
    return np.asarray(mixed >> np.uint64(33), dtype=np.int64)


def check_collisions(texts: Sequence[str], ids: NDArray[np.int64], what: str) -> None:
    """Refuse different texts with the same number.

    Args:
        texts: (N,) ids as the source writes them; repeats are allowed.
        ids: (N,) their `stable_id`.
        what: the name of their table, for the error.

    Raises:
        SourceError: two different texts have the same number.
    """
    order = np.argsort(ids, kind="stable")
    for place in np.flatnonzero(np.diff(ids[order]) == 0):
        one, other = texts[order[place]], texts[order[place + 1]]
        if one != other:
            raise SourceError(
                f"{what}: expected different numbers for different ids; found {ids[order[place]]} for both {one!r} and "
                f"{other!r}. Change one of the two in the source."
            )
