from pathlib import Path

import pytest

from storage.errors import SourceError
from storage.sources.movielens.downloads import RELEASES
from storage.sources.movielens.opening import open_release
from storage.sources.movielens.releases import FILES, find_release

LAYOUTS = {
    "csv": ("ratings.csv", "movies.csv"),
    "ml-10m": ("ratings.dat", "movies.dat", "tags.dat"),
    "ml-1m": ("ratings.dat", "movies.dat", "users.dat"),
    "ml-100k": ("u.data", "u.item", "u.genre"),
}


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("x")
    return folder


@pytest.mark.parametrize("kind", FILES)
def test_layouts_are_told_by_their_files(tmp_path: Path, kind: str) -> None:
    release = find_release(fill(tmp_path / "some", *LAYOUTS[kind], "README.txt"))
    assert (release.kind, release.name, release.folder) == (kind, "some", tmp_path / "some")
    assert release.files["ratings"] == tmp_path / "some" / LAYOUTS[kind][0]
    assert release.files["genome_scores"] is None
    layout = release.ratings
    expected = {"csv": (b",", True), "ml-100k": (b"\t", False)}.get(kind, (b"::", False))
    assert (layout.delimiter, layout.header, layout.columns) == (*expected, None)


def test_all_roles_of_a_csv_release(tmp_path: Path) -> None:
    names = ("ratings", "movies", "links", "tags", "genome-scores", "genome-tags")
    files = find_release(fill(tmp_path, *(f"{name}.csv" for name in names))).files
    assert {role: path.name for role, path in files.items() if path} == {
        name.replace("-", "_"): f"{name}.csv" for name in names
    }


def test_ratings_may_be_in_parquet(tmp_path: Path) -> None:
    release = find_release(fill(tmp_path, "ratings.parquet", "movies.csv"))
    assert (release.kind, release.ratings.path.name) == ("csv", "ratings.parquet")
    assert find_release(fill(tmp_path, "ratings.csv")).ratings.path.name == "ratings.csv"


def test_a_release_one_folder_deeper(tmp_path: Path) -> None:
    fill(tmp_path / "ml-20m" / "__MACOSX", "._ratings.csv")
    inner = fill(tmp_path / "ml-20m" / "ml-20m", *LAYOUTS["csv"])
    assert find_release(tmp_path / "ml-20m").folder == inner


def test_what_is_no_release_is_told_with_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected ratings.csv and movies.csv, or .*; found nothing"):
        find_release(tmp_path)
    fill(tmp_path / "a", *(f"{number:02d}.txt" for number in range(12)))
    with pytest.raises(SourceError, match=r"found 00.txt, .*09.txt and 2 more"):
        find_release(tmp_path / "a")
    with pytest.raises(SourceError, match=r"found a file"):
        find_release(tmp_path / "a" / "00.txt")
    with pytest.raises(SourceError, match=r"found none"):
        find_release(tmp_path / "absent")
    with pytest.raises(SourceError, match=r"expected movies.csv; found ratings.csv"):
        find_release(fill(tmp_path / "b", "ratings.csv"))
    with pytest.raises(SourceError, match=r"expected u.genre"):
        find_release(fill(tmp_path / "c", "u.data", "u.item"))
    for name in ("x", "y"):
        fill(tmp_path / "d" / name, *LAYOUTS["csv"])
    with pytest.raises(SourceError, match=r"expected one release; found x, y"):
        find_release(tmp_path / "d")


def test_open_release_takes_folders_and_names_what_it_takes(tmp_path: Path) -> None:
    folder = fill(tmp_path / "r", *LAYOUTS["csv"])
    assert open_release(folder, tmp_path / "into").folder == folder
    assert not (tmp_path / "into").exists()
    with pytest.raises(SourceError, match=r"ml-7m: expected .* one of ml-latest-small, ml-100k"):
        open_release("ml-7m", tmp_path / "into")
    assert len(RELEASES) == 8


def test_real_release(real_data: Path) -> None:
    release = find_release(real_data / "ml-latest-small")
    assert (release.kind, release.name) == ("csv", "ml-latest-small")
    assert [role for role, path in release.files.items() if path] == ["ratings", "movies", "links", "tags"]
