"""IMDb's TSV datasets, streamed: of millions of titles only the wanted ones are kept."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows
from storage.sources.given_files import file_in
from storage.sources.metadata import fields
from storage.sources.metadata.fields import CAST_SIZE, Movie, source_table
from storage.sources.packed_files import line_blocks, open_plain

HEADERS = {
    "title.basics": (
        "tconst", "titleType", "primaryTitle", "originalTitle", "isAdult", "startYear", "endYear", "runtimeMinutes",
        "genres",
    ),
    "title.ratings": ("tconst", "averageRating", "numVotes"),
    "title.crew": ("tconst", "directors", "writers"),
    "title.principals": ("tconst", "ordering", "nconst", "category", "job", "characters"),
    "name.basics": ("nconst", "primaryName", "birthYear", "deathYear", "primaryProfession", "knownForTitles"),
}  # fmt: skip
ON_STAGE = {"actor", "actress", "self"}
NULL = r"\N"
IMDB_LICENCE = "IMDb non-commercial datasets: personal and non-commercial use only."

Row = dict[str, str | None]


class Credit(NamedTuple):
    """One line of title.principals."""

    ordering: int
    person: str  # nconst
    category: str


def find_imdb(paths: Sequence[Path]) -> dict[str, Path]:
    """The datasets among files and folders, by kind: a file is recognised by its header, in a folder first by its name.

    Raises:
        MetadataError: there is none, there are two of a kind, or a file is not a dataset, not a regular file or a link that
            leads out of its folder.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if path.is_dir():
            names = [f"{name}{end}" for name in HEADERS for end in (".tsv.gz", ".tsv")]
            inside = (file_in(path, name, MetadataError) for name in reversed(names))
            candidates = {_kind(file): file for file in inside if file}
        else:
            candidates = {_kind(path): path}
        if twice := sorted(set(candidates) & set(found)):
            raise MetadataError(f"{path}: expected one file of each kind; found a second {twice[0]}. Give one of them.")
        found |= candidates
    if not found:
        raise MetadataError(
            f"{', '.join(map(str, paths))}: expected title.basics.tsv(.gz), title.ratings, title.crew, title.principals "
            "or name.basics; found none. Fetch them from IMDb's dataset page."
        )
    return found


def read_imdb(paths: Sequence[Path], wanted: AbstractSet[str], bad: BadRows) -> tuple[pa.Table, dict[str, Any]]:
    """Read what the datasets say of the wanted titles.

    Without name.basics people stay unknown, because only names can be matched with other sources. Directors and writers
    that title.crew does not have come from title.principals.

    Args:
        paths: of files, plain or .gz, or folders of them; any subset of the five.
        wanted: IMDb ids as tt0114709.
        bad: takes the lines that cannot be used.

    Returns: a table in SOURCE_SCHEMA, by ascending id, and counts.

    Raises:
        MetadataError: there are no files, one is damaged, or a line is broken and `bad` rejects it.
    """
    files = find_imdb(paths)
    facts: dict[str, Any] = {"files": {kind: path.name for kind, path in sorted(files.items())}}
    found = _Titles()

    def read(kind: str, keys: AbstractSet[str], take: Callable[[Row], None]) -> None:
        if kind in files:
            facts[kind] = _read(files[kind], kind, keys, take, bad)

    read("title.basics", wanted, lambda row: found.add(_key(row), _title(row)))
    read("title.ratings", wanted, lambda row: found.add(_key(row), _rating(row)))
    read("title.crew", wanted, found.take_crew)
    read("title.principals", wanted, found.take_credit)
    people = found.people()
    needed = {person for lists in people.values() for persons in lists.values() for person in persons}
    names: dict[str, str] = {}
    read("name.basics", needed, lambda row: names.update(_name(row)))
    for title, lists in people.items():
        named = {field: [names[person] for person in persons if person in names] for field, persons in lists.items()}
        found.add(title, named)
    movies = found.movies
    facts |= {"titles": len(movies), "people": len(needed), "people_without_name": len(needed - set(names))}
    return source_table([movies[title] for title in sorted(movies)]), facts


@dataclass
class _Titles:
    """What was read of the wanted titles, by id; people are ids, as in nm0000001."""

    movies: dict[str, Movie] = field(default_factory=dict)
    directors: dict[str, list[str]] = field(default_factory=dict)
    writers: dict[str, list[str]] = field(default_factory=dict)
    credits: dict[str, list[Credit]] = field(default_factory=dict)

    def add(self, title: str, known: Movie) -> None:
        self.movies.setdefault(title, {"imdb_id": title}).update(known)

    def take_crew(self, row: Row) -> None:
        self.directors[_key(row)] = _listed(row["directors"])
        self.writers[_key(row)] = _listed(row["writers"])

    def take_credit(self, row: Row) -> None:
        known = self.credits.setdefault(_key(row), [])
        if len(known) < fields.MAX_LIST_ITEMS:
            known.append(_credit(row))

    def people(self) -> dict[str, dict[str, list[str]]]:
        """Cast, directors and writers of every title that has any."""
        people = {}
        for title in {**self.directors, **self.credits}:
            listed = sorted(self.credits.get(title, ()))
            people[title] = {
                "cast": _distinct(listed, ON_STAGE)[:CAST_SIZE],
                "directors": self.directors.get(title) or _distinct(listed, {"director"}),
                "writers": self.writers.get(title) or _distinct(listed, {"writer"}),
            }
        return people


def _read(path: Path, kind: str, keys: AbstractSet[str], take: Callable[[Row], None], bad: BadRows) -> dict[str, int]:
    """Call `take` with every line whose id is among `keys`. Quotes are ordinary characters, so a line is a row."""
    columns = HEADERS[kind]
    tabs = len(columns) - 1
    many = kind == "title.principals"  # the one file with several lines per id
    name, stream = open_plain(path)
    wanted = {key.encode() for key in keys}
    counts = {"lines": 0, "kept": 0}
    number = 0
    with stream:
        for lines in line_blocks(stream, path):
            of_interest = [  # a fast filter, because nearly all lines are of other titles
                (place, line)
                for place, line in enumerate(lines, number + 1)
                if line.count(b"\t") != tabs or line[: line.find(b"\t")] in wanted
            ]
            number += len(lines)
            for place, line in of_interest:
                key = line[: line.find(b"\t")]
                if key not in wanted and line.count(b"\t") == tabs:
                    continue  # a repeated id: the first line stays
                try:
                    take(_row(line, columns))
                except ValueError as error:
                    if line.strip():
                        bad.add(name, place, str(error), _shown(line), MetadataError)
                    continue
                counts["kept"] += 1
                if not many:
                    wanted.discard(key)
    counts["lines"] = number - 1
    return counts


def _row(line: bytes, columns: Sequence[str]) -> Row:
    try:
        cells = line.decode("utf-8").removesuffix("\r").split("\t")
    except UnicodeDecodeError:
        raise ValueError("expected utf-8 text; found other bytes") from None
    if len(cells) != len(columns):
        raise ValueError(f"expected {len(columns)} fields; found {len(cells)}")
    return {column: None if cell == NULL else cell for column, cell in zip(columns, cells, strict=True)}


def _kind(path: Path) -> str:
    _, stream = open_plain(path)
    with stream:
        first = next(line_blocks(stream, path), [b""])[0].decode("utf-8", "replace")
    header = tuple(first.removesuffix("\r").split("\t"))
    for kind, columns in HEADERS.items():
        if header == columns:
            return kind
    raise MetadataError(
        f"{path}: expected the header of {', '.join(HEADERS)}; found {first[:100].strip()!r}. Fetch it from IMDb again."
    )


def _title(row: Row) -> Movie:
    return {
        "title_type": fields.text(row["titleType"]),
        "original_title": fields.text(row["originalTitle"]) or fields.text(row["primaryTitle"]),
        "adult": fields.flag(row["isAdult"]),
        "metadata_genres": _listed(row["genres"]),
        "runtime_minutes": fields.number(row["runtimeMinutes"], fields.LEAST["runtime_minutes"]),
    }


def _name(row: Row) -> dict[str, str]:
    name = fields.text(row["primaryName"])
    return {row["nconst"] or "": name} if name else {}


def _rating(row: Row) -> Movie:
    rating = fields.number(row["averageRating"])
    if rating is not None and not 1 <= rating <= 10:
        raise ValueError(f"expected averageRating from 1 to 10; found {rating:g}")
    return {"imdb_rating": rating, "imdb_votes": fields.number(row["numVotes"], 1)}


def _credit(row: Row) -> Credit:
    ordering, person = row["ordering"] or "", row["nconst"] or ""
    if not (ordering.isascii() and ordering.isdigit() and len(ordering) < 10):
        raise ValueError(f"expected ordering to be a whole number; found {ordering[:40]!r}")
    if not person:
        raise ValueError("expected nconst to name a person; found none")
    return Credit(int(ordering), person, row["category"] or "")


def _key(row: Row) -> str:
    return row["tconst"] or ""


def _listed(cell: str | None) -> list[str]:
    return fields.list_of_texts(cell, ",")


def _distinct(listed: Sequence[Credit], categories: AbstractSet[str]) -> list[str]:
    return list(dict.fromkeys(credit.person for credit in listed if credit.category in categories))


def _shown(line: bytes) -> str:
    return line[:200].decode("utf-8", "replace")
