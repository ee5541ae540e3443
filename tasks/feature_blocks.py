"""Which columns of the movies table become which block of features."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.encoders.tabular import multi_hot, numeric_block, rating_statistics

NUMBERS = ("year", "runtime_minutes", "budget_usd", "revenue_usd", "popularity", "vote_average", "vote_count")
AMOUNTS = ("budget_usd", "revenue_usd", "popularity", "vote_count", "rating_count")
LISTS = {  # column: least training items with the term, most terms
    "genres": (1, 64),
    "countries": (3, 32),
    "languages": (3, 32),
    "companies": (5, 64),
    "keywords": (5, 128),
    "directors": (3, 64),
    "cast": (5, 64),
}
SINGLES = {"original_language": (3, 32), "collection": (2, 64)}


def metadata_blocks(movies: pa.Table, train: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Numbers, multi-hot lists and one-hot categories of the movies, (I, W) float32."""
    numbers = {name: _floats(movies[name]) for name in NUMBERS}
    parts = [numeric_block(numbers, train, AMOUNTS)]
    for name, (least, most) in LISTS.items():
        parts.append(multi_hot([terms or [] for terms in movies[name].to_pylist()], train, least, most))
    for name, (least, most) in SINGLES.items():
        parts.append(multi_hot([[term] if term else [] for term in movies[name].to_pylist()], train, least, most))
    return np.concatenate(parts, axis=1)


def rating_blocks(
    item: NDArray[np.int64],
    rating: NDArray[np.float32],
    timestamp: NDArray[np.int64],
    items: int,
    train: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Statistics of the training ratings of every item, (I, W) float32."""
    return numeric_block(rating_statistics(item, rating, timestamp, items), train, AMOUNTS)


def _floats(column: Any) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in column.to_pylist()], dtype=np.float64)
