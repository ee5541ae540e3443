"""Outside ids of any form as int64, the same in every run and after data are added."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from storage.errors import SourceError

PLAIN_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


def stable_id(text: str) -> int:
    """The number itself of a plain one (up to 18 digits, no leading zero), else a 63-bit hash of the text, ≥ 0.

    Two texts may share an id by chance: among n hashed ones with probability n² / 2⁶⁴ (10 million: 5 in a million).
    """
    if PLAIN_NUMBER.fullmatch(text):
        return int(text)
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def stable_ids(texts: pa.Array | pa.ChunkedArray | Sequence[str]) -> NDArray[np.int64]:
    """`stable_id` of every text, (N,) int64; each distinct text is looked at once.

    Args:
        texts: (N,) strings without nulls.
    """
    array = texts if isinstance(texts, pa.Array | pa.ChunkedArray) else pa.array(texts, pa.string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    encoded = array.dictionary_encode()
    distinct = np.array([stable_id(text) for text in encoded.dictionary.to_pylist()], dtype=np.int64)
    return distinct[encoded.indices.to_numpy(zero_copy_only=False)] if len(distinct) else distinct


def check_collisions(texts: Sequence[str], ids: NDArray[np.int64], what: str) -> None:
    """Make sure that different texts have different ids.

    Args:
        texts: (N,) ids as their source writes them; repeats are fine.
        ids: (N,) their `stable_id`.
        what: the table they are of, for the error.

    Raises:
        SourceError: two different texts have one id.
    """
    order = np.argsort(ids, kind="stable")
    for place in np.flatnonzero(np.diff(ids[order]) == 0):
        one, other = texts[order[place]], texts[order[place + 1]]
        if one != other:
            raise SourceError(
                f"{what}: expected different numbers for different ids; found {ids[order[place]]} for both {one!r} and "
                f"{other!r}. Change one of the two in the source."
            )
