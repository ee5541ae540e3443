"""Functions that fill drafts in processes of their own, which import this module."""

import logging
import os
import signal
import time

import torch

from storage.artifacts.store import Draft
from storage.errors import SourceError
from tasks import progress

logger = logging.getLogger("marquee.toy")


def fill_well(draft: Draft, text: str) -> None:
    """Write a file, with progress and a line of the log."""
    shown = progress.Progress("toy", "Writing")
    (draft.path / "text").write_text(text)
    shown.show(1, 2)
    logger.info("half of %s", text)
    shown.show(2, 2)
    draft.rows, draft.facts = 2, {"threads": torch.get_num_threads(), "process": os.getpid()}


def fill_badly(draft: Draft) -> None:
    """End with a typed error that is made from two arguments, which pickle cannot copy."""

    class OddError(SourceError):
        def __init__(self, first: str, second: str) -> None:
            super().__init__(f"{first} {second}")

    raise OddError("expected a", "and found b")


def be_killed(draft: Draft) -> None:
    """End as the system ends a process that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_ever(draft: Draft) -> None:
    """Say that the work has begun, and do not end."""
    (draft.path / "waiting").touch()
    time.sleep(3600)


def log_for_ever(draft: Draft) -> None:
    """Say that the work has begun, and do not end; it is never silent."""
    (draft.path / "logging").touch()
    while True:
        logger.info("still busy")
        time.sleep(0.01)
