"""Checkpoints of the training state, from which an interrupted run continues."""

import io
import logging
import re
from pathlib import Path
from typing import Any

import torch

from storage.errors import CheckpointError
from storage.files import write_bytes_atomically, writing_to

logger = logging.getLogger("marquee.checkpoints")
NAME = re.compile(r"step-(\d{9})\.pt$")


class Checkpoints:
    """The checkpoints of one training run, in one folder; the newest `keep` are kept."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder = folder
        self.keep = keep

    def _newest_first(self) -> list[tuple[int, Path]]:
        found = [(int(match.group(1)), path) for path in self.folder.glob("*.pt") if (match := NAME.match(path.name))]
        return sorted(found, reverse=True)

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write the state after `step` updates atomically, then delete the oldest.

        Raises:
            StorageFullError, StorageUnwritableError: see `storage.files.writing_to`; earlier checkpoints stay.
        """
        path = self.folder / f"step-{step:09d}.pt"
        buffer = io.BytesIO()
        torch.save(state, buffer)
        with writing_to(self.folder):
            write_bytes_atomically(path, buffer.getvalue())
            for _, old in self._newest_first()[self.keep :]:
                old.unlink(missing_ok=True)
        return path

    def load_latest(self) -> tuple[int, dict[str, Any]] | None:
        """The newest readable checkpoint as (step, state on the CPU), or None; damaged ones are skipped with a warning.

        Raises:
            CheckpointError: a file holds something else than a state of tensors and plain values.
        """
        for step, path in self._newest_first():
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:
                if "Unsupported global" in str(error) or "Weights only load failed" in str(error):
                    raise CheckpointError(
                        f"{path}: expected tensors and plain values only; found other objects. Remove it if it is not yours."
                    ) from error
                logger.warning("Checkpoint %s is damaged and skipped: %s", path, type(error).__name__)
                continue
            if not isinstance(state, dict):
                raise CheckpointError(f"{path}: expected a dictionary of training state; found {type(state).__name__}.")
            return step, state
        return None

    def clear(self) -> None:
        """Delete all checkpoints, after the trained policy is committed."""
        for path in self.folder.glob("*.pt"):
            path.unlink(missing_ok=True)
