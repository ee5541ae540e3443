import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows
from storage.sources.metadata.imdb import HEADERS, find_imdb, read_imdb
from storage.sources.metadata.join import join_metadata
from storage.sources.movielens.movies import read_movies
from storage.sources.movielens.releases import find_release
from storage.tables import SOURCE_SCHEMA

LINES = {
    "title.basics": [
        'tt0000001\tmovie\tThe "Big" One\tLe \'grand" un\t0\t1999\t\\N\t90\tDrama,War',
        "tt0000002\ttvEpisode\tTwo\tTwo\t1\t\\N\t\\N\t\\N\t\\N",
        "tt0000003\tmovie\tUnwanted\tUnwanted\t0\t1999\t\\N\t90\tDrama",
    ],
    "title.ratings": ["tt0000001\t8.5\t1234", "tt0000003\t1.0\t5"],
    "title.crew": ["tt0000001\tnm1\tnm2,nm1", "tt0000002\t\\N\t\\N"],
    "title.principals": [
        "tt0000001\t2\tnm4\tactress\t\\N\t[\"B\"]",
        "tt0000001\t1\tnm3\tactor\t\\N\t[\"A\"]",
        "tt0000001\t3\tnm5\tcomposer\t\\N\t\\N",
        "tt0000001\t10\tnm9\tactor\t\\N\t\\N",
        "tt0000002\t1\tnm6\tself\t\\N\t[\"Himself\"]",
        "tt0000002\t2\tnm7\tdirector\t\\N\t\\N",
        "tt0000002\t3\tnm8\twriter\t\\N\t\\N",
    ],
    "name.basics": [f"nm{n}\tPerson {n}\t\\N\t\\N\tactor\ttt0000001" for n in range(12)],
}  # fmt: skip
WANTED = {"tt0000001", "tt0000002", "tt9999999"}


def dumps(folder: Path, *kinds: str, packed: bool = False, **lines: list[str]) -> Path:
    for kind in kinds or HEADERS:
        rows = lines.get(kind.replace(".", "_"), LINES[kind])
        data = "\n".join(["\t".join(HEADERS[kind]), *rows, ""]).encode()
        if packed:
            (folder / f"{kind}.tsv.gz").write_bytes(gzip.compress(data))
        else:
            (folder / f"{kind}.tsv").write_bytes(data)
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_what_five_dumps_say_of_the_wanted_titles(tmp_path: Path, packed: bool) -> None:
    table, facts = read_imdb([dumps(tmp_path, packed=packed)], WANTED, BadRows())
    assert table.schema == SOURCE_SCHEMA
    one, two = table.to_pylist()
    assert (one["imdb_id"], one["original_title"], one["title_type"]) == ("tt0000001", "Le 'grand\" un", "movie")
    assert (one["runtime_minutes"], one["metadata_genres"], one["adult"]) == (90, ["Drama", "War"], False)
    assert (one["imdb_rating"], one["imdb_votes"], one["tmdb_id"]) == (8.5, 1234, None)
    assert one["cast"] == ["Person 3", "Person 4", "Person 9"]
    assert (one["directors"], one["writers"]) == (["Person 1"], ["Person 2", "Person 1"])
    assert (two["adult"], two["metadata_genres"], two["runtime_minutes"]) == (True, [], None)
    assert (two["cast"], two["directors"], two["writers"]) == (["Person 6"], ["Person 7"], ["Person 8"])
    assert facts["title.basics"] == {"lines": 3, "kept": 2}
    assert facts["people_without_name"] == 0


def test_any_subset_will_do_and_people_need_names(tmp_path: Path) -> None:
    table, facts = read_imdb([dumps(tmp_path, "title.principals", "title.ratings")], WANTED, BadRows())
    assert table["imdb_rating"].to_pylist() == [8.5, None]
    assert table["cast"].to_pylist() == [[], []]
    assert facts["people_without_name"] == facts["people"] == 6


def test_only_five_of_the_cast_and_by_order(tmp_path: Path) -> None:
    credits = [f"tt0000001\t{place}\tnm{place}\tactor\t\\N\t\\N" for place in (11, 2, 10, 1, 9, 3)]
    folder = dumps(tmp_path, "title.principals", "name.basics", title_principals=credits)
    table, _ = read_imdb([folder], WANTED, BadRows())
    assert table["cast"].to_pylist() == [[f"Person {place}" for place in (1, 2, 3, 9, 10)]]


def test_bad_lines_are_told_by_line_whether_wanted_or_not(tmp_path: Path) -> None:
    bad_lines = [
        LINES["title.basics"][0], "", "tt0000003\tmovie", LINES["title.basics"][1].replace("tvEpisode\tTwo", "tvEpisode\tTw\to"),
        "tt0000002\tmovie\tT\tT\tmaybe\t1999\t\\N\t90\tDrama", "tt0000002\tmovie\tT\tT\t0\t1999\t\\N\tlong\tDrama",
        LINES["title.basics"][1], "tt0000002\tmovie\tLater\tLater\t0\t1999\t\\N\t90\tDrama",
    ]  # fmt: skip
    folder = dumps(tmp_path, "title.basics", title_basics=bad_lines)
    with pytest.raises(MetadataError, match=r"title.basics.tsv, line 4: expected 9 fields; found 2"):
        read_imdb([folder], WANTED, BadRows("reject"))
    bad = BadRows("quarantine")
    table, _ = read_imdb([folder], WANTED, bad)
    assert table["original_title"].to_pylist() == ["Le 'grand\" un", "Two"]
    assert [(row.line, row.reason) for row in bad.rows] == [
        (4, "expected 9 fields; found 2"),
        (5, "expected 9 fields; found 10"),
        (6, "expected true or false; found 'maybe'"),
        (7, "expected a number; found 'long'"),
    ]


def test_a_title_of_which_only_a_broken_line_exists_is_not_in_the_table(tmp_path: Path) -> None:
    folder = dumps(tmp_path, "title.ratings", title_ratings=["tt0000001\t99\t5", "tt0000002\t7.0\t5"])
    table, facts = read_imdb([folder], WANTED, BadRows("quarantine"))
    assert (table["imdb_id"].to_pylist(), facts["titles"]) == (["tt0000002"], 1)


def test_damaged_archives_and_other_files_are_refused(tmp_path: Path) -> None:
    lines = [f"tt{n:07d}\t5.0\t{n * 7919 % 1000}" for n in range(5000)]
    dumps(tmp_path, "title.ratings", packed=True, title_ratings=lines)
    path = tmp_path / "title.ratings.tsv.gz"
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(MetadataError, match="expected a whole file"):
        read_imdb([tmp_path], WANTED, BadRows())
    path.write_bytes(gzip.compress(b"a\tb\n"))
    with pytest.raises(MetadataError, match=r"expected the header of title.basics"):
        find_imdb([path])
    path.write_bytes(b"")
    with pytest.raises(MetadataError, match="the file is empty"):
        find_imdb([path])
    path.unlink()
    with pytest.raises(MetadataError, match=r"found none. Fetch them"):
        find_imdb([tmp_path])
    (tmp_path / "again").mkdir()
    with pytest.raises(MetadataError, match=r"a second title.crew"):
        find_imdb([dumps(tmp_path, "title.crew"), dumps(tmp_path / "again", "title.crew")])


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(sorted(HEADERS)),
    noise=st.one_of(st.binary(max_size=20), st.sampled_from([b"\t", b"\n", b"\r", b'"', b"\\N", b"\xff"])),
    place=st.integers(0, 400),
    drop=st.integers(0, 12),
    packed=st.booleans(),
)
def test_random_damage_gives_only_typed_errors(
    tmp_path: Path, kind: str, noise: bytes, place: int, drop: int, packed: bool
) -> None:
    for file in tmp_path.iterdir():
        file.unlink()
    dumps(tmp_path, packed=packed)
    path = tmp_path / f"{kind}.tsv{'.gz' if packed else ''}"
    data = path.read_bytes()
    at = min(place, len(data))
    path.write_bytes(data[:at] + noise + data[at + drop :])
    try:
        table, _ = read_imdb([tmp_path], WANTED, BadRows("quarantine"))
        table.validate(full=True)
    except MetadataError as error:
        assert "expected" in str(error)


def test_real_dumps_join_a_real_release(real_data: Path) -> None:
    release = read_movies(find_release(Path(real_data, "ml-latest-small")), BadRows())[0]
    wanted = {imdb for imdb in release["imdb_id"].to_pylist() if imdb}
    table, facts = read_imdb([Path(real_data, "imdb-tsv")], wanted, BadRows())
    assert facts["title.basics"]["lines"] == 29_885
    assert facts["title.ratings"] == {"lines": 132_011, "kept": 5035}
    joined, counts = join_metadata(release, [("imdb", table)])
    assert counts["coverage"]["imdb_rating"] == 5035
    assert counts["coverage"]["title_type"] == facts["title.basics"]["kept"] == 156
    nation = next(movie for movie in joined.to_pylist() if movie["imdb_id"] == "tt0004972")
    assert (nation["original_title"], nation["runtime_minutes"]) == ("The Birth of a Nation", 195)


def test_real_excerpts_of_crew_and_principals(real_data: Path) -> None:
    files = sorted(Path(real_data, "imdb-tsv").glob("*.small.tsv"))
    table, facts = read_imdb(files, {"tt0000005", "tt0000036", "tt0209144"}, BadRows())
    assert sorted(facts["files"]) == ["title.basics", "title.crew", "title.principals", "title.ratings"]
    assert table["imdb_id"].to_pylist() == ["tt0000005", "tt0000036", "tt0209144"]
    assert facts["people"] == 7


def test_the_credits_of_one_title_are_bounded(tmp_path: Path) -> None:
    lines = [f"tt0000001\t{place}\tnm{place}\tdirector\t\\N\t\\N" for place in range(1, 2000)]
    folder = dumps(tmp_path, "title.principals", title_principals=lines)
    _, facts = read_imdb([folder], WANTED, BadRows())
    assert (facts["title.principals"]["kept"], facts["people"]) == (1999, 1000)
