"""Checkpoints of the training state, from which an interrupted run continues.

A file is a line that names the format, the state as `torch.save` writes it, and the SHA-256 of both.
"""

import hashlib
import io
import logging
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from storage.drafts import sweep_drafts
from storage.errors import CheckpointError
from storage.files import write_bytes_atomically, writing_to

logger = logging.getLogger("marquee.checkpoints")
FORMAT = b"marquee-checkpoint/1\n"
CHECKSUM_BYTES = 32
KEPT = 2  # if the newest is damaged, there is the one before
NAME = re.compile(r"step-(\d{9})\.pt$")


class Checkpoints:
    """The checkpoints of one training run, in one folder; the two newest are kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _newest_first(self) -> list[tuple[int, Path]]:
        found = [(int(match.group(1)), path) for path in self.folder.glob("*.pt") if (match := NAME.match(path.name))]
        return sorted(found, reverse=True)

    def newest(self) -> Path | None:
        """The file of the newest checkpoint, if there is one."""
        found = self._newest_first()
        return found[0][1] if found else None

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Write the state after `step` updates atomically, then delete the oldest.

        Raises:
            StorageFullError, StorageUnwritableError: see `storage.files.writing_to`; earlier checkpoints stay.
        """
        path = self.folder / f"step-{step:09d}.pt"
        buffer = io.BytesIO()
        buffer.write(FORMAT)
        torch.save(state, buffer)
        buffer.write(hashlib.sha256(buffer.getbuffer()).digest())
        with writing_to(self.folder):
            write_bytes_atomically(path, buffer.getvalue())
            for _, old in self._newest_first()[KEPT:]:
                old.unlink(missing_ok=True)
        return path

    def load_latest(self) -> tuple[int, dict[str, Any]] | None:
        """The newest whole checkpoint as (step, state on the CPU), or None.

        A damaged one is removed with a warning, and the one before is taken.

        Raises:
            CheckpointError: a file is of another format, or holds something else than a state of tensors and plain values.
        """
        for step, path in self._newest_first():
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue  # another run of the same training has replaced it by a newer one
            except OSError as error:
                logger.warning("Checkpoint %s cannot be read and is skipped: %s", path, error.strerror)
                continue
            if (content := _checked(path, data)) is None:
                logger.warning("Checkpoint %s is damaged and removed: its checksum is not that of its bytes.", path)
                path.unlink(missing_ok=True)
                continue
            return step, _state(path, content)
        return None

    def clear(self) -> None:
        """Delete all checkpoints, after the trained policy is committed."""
        for path in self.folder.glob("*.pt"):
            path.unlink(missing_ok=True)
        sweep_drafts(self.folder)
        with suppress(OSError):  # another run of the same training still writes there
            self.folder.rmdir()


def damage_of(path: Path) -> str | None:
    """What is wrong with the bytes of a checkpoint; None if it is whole."""
    try:
        content = _checked(path, path.read_bytes())
    except CheckpointError as error:
        return str(error)
    return "expected the checksum of its bytes; found another" if content is None else None


def _checked(path: Path, data: bytes) -> bytes | None:
    """The bytes that `torch.save` wrote, or None if they are damaged.

    Raises:
        CheckpointError: the file is of another format.
    """
    content, checksum = data[:-CHECKSUM_BYTES], data[-CHECKSUM_BYTES:]
    whole = hashlib.sha256(content).digest() == checksum
    if whole and content.startswith(FORMAT):
        return content[len(FORMAT) :]
    earlier = data.startswith(
        b"PK\x03\x04"
    )  # a bare file of torch.save; no single flipped bit makes one of ours look so
    if whole or earlier:
        found = "a file without checksum, as earlier versions wrote" if earlier else content[:24]
        raise CheckpointError(
            f"{path}: expected {FORMAT.decode().strip()}; found {found!r}. Remove it to train from the start."
        )
    return None


def _state(path: Path, content: bytes) -> dict[str, Any]:
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(
            f"{path}: expected tensors and plain values only; found other objects. Remove it if it is not yours."
        ) from error
    if not isinstance(state, dict):
        raise CheckpointError(
            f"{path}: expected a dictionary of training state; found {type(state).__name__}. Remove it to train from the start."
        )
    return state
