"""Checks of arrays that others may have written."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def ascending(values: NDArray[Any], strictly: bool = True) -> bool:
    """Whether each value is above the one before it, or not below it."""
    return bool((values[1:] > values[:-1] if strictly else values[1:] >= values[:-1]).all())


def all_finite(values: NDArray[Any]) -> bool:
    """Whether no value is NaN or infinite. A finite sum shows it in half the time."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(values.sum(dtype=np.float32)) or np.isfinite(values).all())
