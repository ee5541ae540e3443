import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage.drafts import draft_beside, sweep_drafts

WRITER = """
import os, sys
from pathlib import Path
from storage.drafts import draft_beside
with draft_beside(Path(sys.argv[1])) as draft:
    draft.mkdir()
    (draft / "half").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def start(final: Path) -> subprocess.Popen[bytes]:
    """A process that holds a draft until its standard input ends."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(final)], stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    return process


def test_a_draft_lasts_as_long_as_its_writer(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "final"
    with start(final) as living:
        assert sweep_drafts(final.parent) == 0
        with draft_beside(final.with_name("other")) as draft:  # a writer in the same process as the sweeper
            draft.write_text("half")
            assert sweep_drafts(final.parent) == 0
            assert draft.read_text() == "half"
        drafts = list(final.parent.iterdir())
        assert [(path / "final" / "half").read_text() for path in drafts] == ["half"]
        living.send_signal(signal.SIGKILL)
        living.wait()
        assert list(final.parent.iterdir()) == drafts
    with draft_beside(final):
        assert not drafts[0].exists()
    assert not list(final.parent.iterdir())


def test_a_writer_of_another_host_is_known_by_its_lock(tmp_path: Path) -> None:
    """A host's name and process numbers do not appear in a draft: in a container all of them are others."""
    with draft_beside(tmp_path / "final"):
        (draft,) = tmp_path.iterdir()
        assert str(os.getpid()) not in draft.name.split(".")
        assert os.uname().nodename not in draft.name


def test_a_draft_that_is_taken_before_it_is_locked_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweeper that comes between any two steps of a new writer makes it start again in another folder."""
    real_open, real_flock = os.open, fcntl.flock
    moments = ["no lock file", "not locked", None]

    def open_late(path: Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT and moments[0] == "no lock file":
            moments.pop(0)
            assert sweep_drafts(tmp_path) == 1
        return real_open(path, flags, mode, dir_fd=dir_fd)

    def lock_late(descriptor: int, how: int) -> None:
        if moments[0] == "not locked":
            moments.pop(0)
            assert sweep_drafts(tmp_path) == 1
        real_flock(descriptor, how)

    monkeypatch.setattr(os, "open", open_late)
    monkeypatch.setattr(fcntl, "flock", lock_late)
    with draft_beside(tmp_path / "final") as draft:
        assert moments == [None]
        draft.write_text("whole")
        assert sweep_drafts(tmp_path) == 0
        draft.rename(tmp_path / "final")
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_nothing_is_swept_where_there_are_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with draft_beside(tmp_path / "final") as draft:
        draft.write_text("half")
        assert sweep_drafts(tmp_path) == 0
        assert draft.exists()


def test_folders_of_a_user_are_no_drafts(tmp_path: Path) -> None:
    (tmp_path / ".draft.mine").mkdir()
    (tmp_path / ".draft.mine" / "file").touch()
    (tmp_path / ".draft.file").touch()
    assert sweep_drafts(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_many_writers_and_sweepers_do_not_meet(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for _ in range(30):
                with draft_beside(tmp_path / name) as draft:
                    draft.write_text(name)
                    draft.replace(tmp_path / name)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(f"file-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"file-{n}" for n in range(4)]
