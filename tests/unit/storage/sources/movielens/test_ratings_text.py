from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import SourceError
from storage.sources.movielens import ratings_text
from storage.sources.movielens.ratings_text import text_lines


@settings(max_examples=200, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b"")), max_size=20),
    block=st.integers(1, 50),
)
def test_blocks_are_whole_lines_and_all_of_them(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], block: int
) -> None:
    path = tmp_path_factory.mktemp("text") / "r.csv"
    path.write_bytes(b"head\n" + b"\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ratings_text, "BLOCK_BYTES", block)
        with text_lines(path, 5) as reads:
            blocks = [read() for read in reads]
    text = b"\n".join(lines)
    assert b"".join(blocks) == text
    assert all(data.endswith(b"\n") for data in blocks[:-1] if data)
    assert not text or text.endswith(b"\n") or blocks[-1] == text[text.rfind(b"\n") + 1 :]


def test_a_file_that_becomes_shorter_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(b"1,2,3,4\n" * 100)
    with text_lines(path, 0) as reads:
        path.write_bytes(b"1,2,3,4\n" * 99)
        with pytest.raises(SourceError, match="expected 800 bytes; the file grew shorter"):
            [read() for read in reads]


def test_a_line_that_runs_over_several_blocks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratings_text, "BLOCK_BYTES", 10)
    monkeypatch.setattr(ratings_text, "LONGEST_LINE_BYTES", 20)
    path = tmp_path / "r.csv"
    path.write_bytes(b"1\n" + b"2" * 50 + b"\n")
    with (
        text_lines(path, 0) as reads,
        pytest.raises(SourceError, match="lines of at most 20 bytes; found a longer one near"),
    ):
        [read() for read in reads]
