"""Events between file and dataset: blocks in file order in, whole histories in user and time order out."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class EventBlock(NamedTuple):
    """Some events in file order."""

    user_id: NDArray[np.int64]  # (n,)
    item: NDArray[np.int32]  # (n,) position in the sorted movie ids
    code: NDArray[np.uint8]  # (n,) 1 … scale.codes
    timestamp: NDArray[np.int64]  # (n,) unix seconds


class Histories(NamedTuple):
    """Whole histories of users in ascending order of id, each in time order; ties keep file order."""

    user_id: NDArray[np.int64]  # (u,)
    length: NDArray[np.int64]  # (u,) events of each
    item: NDArray[np.int32]  # (n,)
    code: NDArray[np.uint8]  # (n,)
    timestamp: NDArray[np.int64]  # (n,)
