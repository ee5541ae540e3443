import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from storage.errors import StorageUnwritableError
from storage.tensorboard import EventFile


def events(path: Path) -> Iterator[Event]:
    """As TensorFlow's TFRecord format says: length, its checksum, the bytes, their checksum."""
    data = path.read_bytes()
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12])[0] == masked_crc32c(data[:8])
        record, data = data[12 : 12 + size], data[12 + size :]
        assert struct.unpack("<I", data[:4])[0] == masked_crc32c(record)
        data = data[4:]
        yield Event.FromString(record)


def test_rows_read_back_while_the_file_is_open(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "td3-abc", 0)
    file.write([(50, "train", "critic_loss", 1.5), (50, "validation", "ndcg@10", 0.25)])
    (path,) = (tmp_path / "td3-abc").iterdir()
    version, start, *rest = events(path)
    assert version.file_version == "brain.Event:2"
    assert start.session_log.status == SessionLog.START
    found = [(event.step, event.summary.value[0].tag, event.summary.value[0].simple_value) for event in rest]
    assert found == [(50, "train/critic_loss", 1.5), (50, "validation/ndcg_at_10", 0.25)]
    file.close()


def test_a_resumed_run_hides_what_is_written_again(tmp_path: Path) -> None:
    for step in (0, 40):
        EventFile(tmp_path, step).close()
    starts = sorted(
        event.step for path in tmp_path.iterdir() for event in events(path) if event.HasField("session_log")
    )
    assert starts == [1, 41]


def test_an_unwritable_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnwritableError, match="MARQUEE_HOME"):
        EventFile(tmp_path / "file" / "run", 0)
