"""Find the item indices of movie ids."""

import numpy as np
from numpy.typing import NDArray

LARGEST_DIRECT_ID = 1 << 22  # up to this id a lookup table is quicker than a binary search


class ItemIndex:
    """Maps movie ids to item indices: the item index is the place of the id among the ascending ids of all items."""

    def __init__(self, movie_ids: NDArray[np.int64]) -> None:
        """Prepare the lookup.

        Args:
            movie_ids: (I,) ascending, without repeats.
        """
        self._ids = np.ascontiguousarray(movie_ids, dtype=np.int64)
        self._table: NDArray[np.int32] | None = None
        if len(self._ids) and self._ids[0] >= 0 and self._ids[-1] < LARGEST_DIRECT_ID:
            self._table = np.full(int(self._ids[-1]) + 2, -1, dtype=np.int32)  # the last entry: all larger ids
            self._table[self._ids] = np.arange(len(self._ids), dtype=np.int32)

    def __len__(self) -> int:
        return len(self._ids)

    def of(self, movie_ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """The item index of each movie id, (N,) int32; -1 for ids that are not among the items.

        Args:
            movie_ids: (N,) in any order.
        """
        if self._table is not None:  # as unsigned numbers, negative ids are large
            return self._table[np.minimum(movie_ids.view(np.uint64), np.uint64(len(self._table) - 1)).view(np.int64)]
        if not len(self._ids):
            return np.full(len(movie_ids), -1, dtype=np.int32)
        place = np.minimum(np.searchsorted(self._ids, movie_ids), len(self._ids) - 1)
        return np.where(self._ids[place] == movie_ids, place, -1).astype(np.int32)
