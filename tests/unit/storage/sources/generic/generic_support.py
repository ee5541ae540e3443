"""Declared ratings, and the events in them."""

from pathlib import Path
from typing import Any

import numpy as np

from storage.dataset.histories import EventBlock
from storage.sources.bad_rows import BadRows
from storage.sources.generic.declaration import GenericParams
from storage.sources.generic.items import read_generic_items
from storage.sources.generic.ratings import generic_events

ONE_TO_FIVE = {"lowest": 1, "highest": 5, "step": 1}


def source(path: Path, text: str | bytes | None = None, **changes: Any) -> GenericParams:
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return GenericParams.model_validate({"ratings": path, "scale": ONE_TO_FIVE} | changes)


def events(params: GenericParams, bad: BadRows | None = None, known: Any = None) -> tuple[EventBlock, dict[str, Any]]:
    """All events in one block."""
    bad = bad or BadRows("reject")
    if known is None:
        known = read_generic_items(params, BadRows("quarantine"))[0]["movie_id"].to_numpy()
    facts: dict[str, Any] = {}
    blocks = list(generic_events(params, known, bad, facts))
    return EventBlock(*(np.concatenate(column) for column in zip(*blocks, strict=True))), facts
