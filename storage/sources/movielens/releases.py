"""Recognises the MovieLens release in a folder: its layout and its files by role."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from storage.errors import SourceError
from storage.sources.given_files import file_in, inside
from storage.sources.movielens.ratings import RatingsLayout
from storage.sources.movielens.text_tables import CSV, TextFormat

Kind = Literal["csv", "ml-10m", "ml-1m", "ml-100k"]
Role = Literal["ratings", "movies", "genres", "links", "tags", "genome_scores", "genome_tags"]

CSV_FILES: dict[Role, str] = {
    "ratings": "ratings.csv",
    "movies": "movies.csv",
    "links": "links.csv",
    "tags": "tags.csv",
    "genome_scores": "genome-scores.csv",
    "genome_tags": "genome-tags.csv",
}
PARQUET_RATINGS = "ratings.parquet"  # read if there is no ratings.csv
DAT_FILES: dict[Role, str] = {"ratings": "ratings.dat", "movies": "movies.dat", "tags": "tags.dat"}
FIRST_FILES: dict[Role, str] = {"ratings": "u.data", "movies": "u.item", "genres": "u.genre"}
FILES: dict[Kind, dict[Role, str]] = {"csv": CSV_FILES, "ml-10m": DAT_FILES, "ml-1m": DAT_FILES, "ml-100k": FIRST_FILES}
NEEDED: tuple[Role, ...] = ("ratings", "movies", "genres")
MOVIELENS_LICENCE = (
    "MovieLens (GroupLens): research use, cite Harper and Konstan 2015, no commercial use without permission."
)
OLD = ("utf-8", "latin-1")  # the two oldest releases are in Latin-1, but many copies were converted


@dataclass(frozen=True)
class Release:
    """The files of one unpacked release by role; None for a role without a file."""

    name: str
    kind: Kind
    folder: Path
    files: dict[Role, Path | None]

    @property
    def ratings(self) -> RatingsLayout:
        """The ratings table; the whole stars of 1M and 100K are on the same scale as half stars."""
        path = self.needed("ratings")
        if self.kind == "csv":
            return RatingsLayout(path)
        return RatingsLayout(path, delimiter=b"\t" if self.kind == "ml-100k" else b"::", header=False)

    def needed(self, role: Role) -> Path:
        """The file of a role that every release of this kind has."""
        path = self.files[role]
        if path is None:
            raise SourceError(
                f"{self.folder}: expected a file for {role}; found none. Give the folder of a whole release."
            )
        return path

    def dialect(self, free: int | None = None) -> TextFormat:
        """The text format of the movies and tags tables.

        Args:
            free: the column of free text, the only one that may contain the delimiter in formats without quotes.
        """
        if self.kind == "csv":
            return CSV
        if self.kind == "ml-100k":
            return TextFormat("|", quoted=False, header=False, encodings=OLD, free=free)
        encodings = OLD if self.kind == "ml-1m" else ("utf-8",)
        return TextFormat("::", quoted=False, header=False, encodings=encodings, free=free)


def find_release(folder: Path) -> Release:
    """Recognise the release in a folder, or in the one folder below that holds a release.

    Raises:
        SourceError: there is no release, only a part of one, or there are several; or a file of it is not a regular one, or a
            link that leads out of the folder.
    """
    if not folder.is_dir():
        raise SourceError(
            f"{folder}: expected a folder with a MovieLens release; found {'a file' if folder.exists() else 'none'}. "
            "Unpack a release there and give its folder, or give the archive or a release's name."
        )
    if (kind := _kind_in(folder)) is not None:
        return _release(folder, kind)
    below = [(inner, kind) for inner in sorted(folder.iterdir()) if inner.is_dir() and (kind := _kind_in(inner))]
    if len(below) == 1:
        inside(folder, below[0][0])
        return _release(*below[0])
    if below:
        names = ", ".join(inner.name for inner, _ in below)
        raise SourceError(f"{folder}: expected one release; found {names}. Give the folder of one of them.")
    found = sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir())
    shown = ", ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
    raise SourceError(
        f"{folder}: expected ratings.csv and movies.csv, or ratings.dat and movies.dat, or u.data, u.item and u.genre; "
        f"found {shown or 'nothing'}. Give the folder of an unpacked MovieLens release."
    )


def _kind_in(folder: Path) -> Kind | None:
    if file_in(folder, "ratings.csv") or file_in(folder, PARQUET_RATINGS):
        return "csv"
    if file_in(folder, "ratings.dat"):
        # 1M has users.dat and no tags; 10M has tags and no users.
        return "ml-10m" if file_in(folder, "tags.dat") else "ml-1m"
    return "ml-100k" if file_in(folder, "u.data") else None


def _release(folder: Path, kind: Kind) -> Release:
    files: dict[Role, Path | None] = dict.fromkeys(CSV_FILES | FIRST_FILES)
    names = FILES[kind]
    if kind == "csv" and not file_in(folder, "ratings.csv"):
        names = names | {"ratings": PARQUET_RATINGS}
    for role, name in names.items():
        files[role] = file_in(folder, name)
        if files[role] is None and role in NEEDED:
            found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:10])
            raise SourceError(
                f"{folder}: expected {name}; found {found}. Give the folder of a whole unpacked MovieLens release."
            )
    return Release(folder.resolve().name, kind, folder, files)
