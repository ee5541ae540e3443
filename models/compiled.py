"""The compiled helper of the models, which they work without: slower, to the same bits."""

import os
from importlib import import_module
from types import ModuleType


def helper(name: str) -> ModuleType | None:
    """A compiled module of models; None where it was not built, or where MARQUEE_PURE=1 switches it off."""
    if os.environ.get("MARQUEE_PURE") == "1":
        return None
    try:
        return import_module(f"models.{name}")
    except ImportError:
        return None
