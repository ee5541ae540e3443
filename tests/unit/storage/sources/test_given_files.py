"""A folder that a user gives may come from somebody else: nothing in it leads to other files of this machine."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from unit.storage.sources.metadata.exports_support import UDACITY

from storage.errors import SourceError
from storage.sources.given_files import file_in
from storage.sources.metadata.files import MetadataFile, find_metadata
from storage.sources.metadata.imdb import HEADERS, find_imdb
from storage.sources.movielens.releases import find_release

Find = Callable[[Path], object]
FINDS: dict[str, tuple[Find, str]] = {
    "ratings.csv": (find_release, "userId,movieId,rating,timestamp\n"),
    "movies.csv": (find_release, "movieId,title,genres\n"),
    "e.csv": (lambda folder: find_metadata((MetadataFile(path=folder),)), UDACITY),
    "title.ratings.tsv": (lambda folder: find_imdb([folder]), "\t".join(HEADERS["title.ratings"])),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which every one of FINDS finds its file."""
    folder = tmp_path / "given"
    folder.mkdir()
    for name, (_, text) in FINDS.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("name", FINDS)
def test_a_link_to_the_outside_is_refused(tmp_path: Path, folder: Path, name: str) -> None:
    find, text = FINDS[name]
    (tmp_path / "id_rsa").write_text(text)
    (folder / name).unlink()
    (folder / name).symlink_to(tmp_path / "id_rsa")
    with pytest.raises(SourceError, match=rf"{name}: expected a file within .*; found a link to .*id_rsa"):
        find(folder)


@pytest.mark.parametrize("name", FINDS)
def test_a_named_pipe_is_refused_and_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(SourceError, match=rf"{name}: expected a regular file; found a named pipe"):
        FINDS[name][0](folder)


def test_a_pipe_given_by_its_own_path_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "title.ratings.tsv")
    with pytest.raises(SourceError, match="found a named pipe"):
        find_imdb([tmp_path / "title.ratings.tsv"])
    with pytest.raises(SourceError, match="found a device"):
        find_imdb([Path("/dev/zero")])


def test_a_link_to_another_release_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "ml").symlink_to(folder)
    with pytest.raises(SourceError, match="found a link to"):
        find_release(tmp_path / "top")


@pytest.mark.parametrize("name", FINDS)
def test_links_within_the_folder_and_to_the_folder_are_followed(tmp_path: Path, folder: Path, name: str) -> None:
    (folder / name).rename(folder / "data")
    (folder / name).symlink_to("data")
    (tmp_path / "link").symlink_to(folder)
    assert FINDS[name][0](tmp_path / "link")
    assert file_in(folder, "absent") is None
    (folder / "broken").symlink_to("nowhere")
    with pytest.raises(SourceError, match="broken: expected a readable file; found: No such file"):
        file_in(folder, "broken")
