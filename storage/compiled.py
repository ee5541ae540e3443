"""The optional C helpers: without them, or with MARQUEE_PURE=1, their pure counterparts do the same work, slower."""

import importlib
import os
from types import ModuleType


def compiled(name: str) -> ModuleType | None:
    """The C module `storage.<name>`, or None where it was not built or is not wanted."""
    if os.environ.get("MARQUEE_PURE", "0") not in ("", "0"):
        return None
    try:
        return importlib.import_module(f"storage.{name}")
    except ImportError:
        return None
