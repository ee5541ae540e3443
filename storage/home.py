"""The work directory."""

import os
from pathlib import Path


def home() -> Path:
    """Marquee's work directory: `MARQUEE_HOME`, by default `.marquee/` where the process runs."""
    return Path(os.environ.get("MARQUEE_HOME", ".marquee")).absolute()
