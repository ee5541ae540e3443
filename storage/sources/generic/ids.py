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
