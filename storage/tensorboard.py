"""Write metrics as TensorBoard event files, to watch a run while it trains."""

import time
from collections.abc import Sequence
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from storage.files import writing_to


class EventFile:
    """One event file in a run's folder. It holds clock times and the machine's name: never part of an artifact.

    Rows are written in the calling thread. The thread of tensorboardX's `SummaryWriter` would hide a full disk: its queue
    would only grow.
    """

    def __init__(self, folder: Path, step: int) -> None:
        """Continue after `step` updates; TensorBoard hides what an interrupted run wrote after them.

        Raises:
            StorageFullError, StorageUnwritableError: see `storage.files.writing_to`.
        """
        self.folder = folder
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = EventsWriter(str(folder / "events"), f".{step}")
            self._writer.write_event(Event(step=step + 1, session_log=SessionLog(status=SessionLog.START)))
            self._writer.flush()

    def write(self, rows: Sequence[tuple[int, str, str, float]]) -> None:
        """Add (step, split, metric, value) as scalars named split/metric; readers see them at once.

        Raises:
            StorageFullError, StorageUnwritableError: see `storage.files.writing_to`.
        """
        now = time.time()
        with writing_to(self.folder):
            for step, split, metric, value in rows:
                named = Summary.Value(tag=f"{split}/{metric.replace('@', '_at_')}", simple_value=value)
                self._writer.write_event(Event(wall_time=now, step=step, summary=Summary(value=[named])))
            self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
