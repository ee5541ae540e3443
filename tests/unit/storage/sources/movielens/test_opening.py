"""A release is opened from a folder, an archive or a name; a path has precedence over a name."""

import zipfile
from pathlib import Path

import pytest

from storage.errors import DownloadError, SourceError
from storage.sources.movielens.opening import open_release

FILES = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,1,4.0,5\n",
    "movies.csv": "movieId,title,genres\n1,A,Drama\n",
}


def test_a_folder_and_its_archive_are_the_same_release(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for name, text in FILES.items():
            (folder / name).write_text(text)
            archive.writestr(f"mine/{name}", text)
    one, other = (open_release(tmp_path / name, tmp_path / "into") for name in ("mine", "mine.zip"))
    assert (one.name, one.kind) == (other.name, other.kind) == ("mine", "csv")
    assert one.folder == folder
    assert {path.name: path.read_text() for path in other.folder.iterdir()} == FILES
    assert open_release(tmp_path / "mine.zip", tmp_path / "into") == other


def test_a_path_has_precedence_over_the_name_of_a_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nobody: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ml-25m").mkdir()
    for name, text in FILES.items():
        Path("ml-25m", name).write_text(text)
    assert open_release("ml-25m", tmp_path / "into", base_url=nobody).folder == Path("ml-25m")


def test_what_is_neither_path_nor_name_is_refused_and_the_names_are_listed(tmp_path: Path) -> None:
    with pytest.raises(
        SourceError, match=r"ml-26m: expected a folder or \.zip .*, or one of .*ml-25m.*; found none"
    ) as refused:
        open_release("ml-26m", tmp_path)
    assert not isinstance(refused.value, DownloadError)
