"""Progress bars and images in the Prefect UI."""

import base64
from pathlib import Path
from typing import cast
from uuid import UUID

from prefect.artifacts import create_image_artifact, create_progress_artifact, update_progress_artifact


class Progress:
    """One progress artifact of the running task."""

    def __init__(self, key: str, description: str) -> None:
        self._done = 0
        self._id = cast(UUID, create_progress_artifact(0.0, key=key, description=description))

    def show(self, done: int, total: int, description: str | None = None) -> None:
        """Move the bar to `done` of `total`, and set the text beside it if one is given."""
        update_progress_artifact(self._id, round(100 * done / total, 1), description=description)

    def step(self, total: int) -> None:
        """Count one more of `total` steps, or of the steps so far if they are more."""
        self._done += 1
        self.show(self._done, max(total, self._done))


def show_image(key: str, path: Path, description: str) -> None:
    """Show a PNG file in the UI, as part of the artifact itself."""
    data = base64.b64encode(path.read_bytes()).decode()
    create_image_artifact(key=key, image_url=f"data:image/png;base64,{data}", description=description)
