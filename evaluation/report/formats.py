"""Numbers as text for people; all are filters of the page's templates."""

import math
from collections.abc import Callable
from typing import Any

DASH = "–"


def without_nan(value: Any) -> Any:
    """The same structure for JSON: floats to 6 significant digits, null for NaN and infinity."""
    if isinstance(value, dict):
        return {key: without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def fixed(value: float | None, digits: int = 4) -> str:
    """A number with a fixed number of decimals, or a dash."""
    return DASH if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 4) -> str:
    """A difference: a number with its sign and a fixed number of decimals, or a dash."""
    return DASH if value is None else f"{value:+.{digits}f}".replace("-", "−")


def significant(value: float | None, digits: int = 4) -> str:
    """A number with significant digits, or a dash."""
    return DASH if value is None else f"{value:.{digits}g}"


def share(value: float | None) -> str:
    """A share in per cent, or a dash."""
    return DASH if value is None else f"{100 * value:.1f} %"


def count(value: float | None) -> str:
    """A count with thousands separators, or a dash."""
    return DASH if value is None else f"{round(value):,}"


def probability(value: float | None) -> str:
    """A p value."""
    return DASH if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def interval(ends: tuple[float, float] | None, digits: int = 4, factor: float = 1) -> str:
    """An interval; nothing if there is none.

    Args:
        ends: its ends.
        digits: decimals.
        factor: both ends are multiplied by it, such as 100 for per cent.
    """
    return "" if ends is None else f"{factor * ends[0]:.{digits}f} – {factor * ends[1]:.{digits}f}"


def sentence(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


FILTERS: dict[str, Callable[..., str]] = {
    one.__name__: one for one in (fixed, signed, significant, share, count, probability, interval, sentence)
}
