"""What stands for the raw files in digests."""

from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from pydantic import ValidationError
from small_artifacts_support import filled

from flows.cli.running import resolved_profile
from storage.dataset.scale import RatingScale
from storage.errors import DatasetError, SourceError
from storage.sources.generic.declaration import GenericParams
from storage.sources.metadata.files import MetadataFile
from tasks.extend import need_times
from tasks.ingest import make_catalogue, make_events, make_movies, make_tags
from tasks.sources import Source, SourceParams, find_files

MOVIES = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,1,4.0,5\n",
    "movies.csv": "movieId,title,genres\n1,A,Drama\n",
}


def located(**parameters: object) -> Source:
    return find_files.fn(SourceParams(**parameters), None)  # type: ignore[arg-type]


def test_items_known_from_ratings_alone_depend_on_them(tmp_path: Path) -> None:
    seen = []
    for rated in ("u1,b1,3,5", "u1,b2,3,5"):
        (tmp_path / "r.csv").write_text(f"user,item,rating,timestamp\n{rated}\n")
        seen.append(located(generic=GenericParams(ratings=tmp_path / "r.csv")).of("movies"))
    assert seen[0] != seen[1]


def test_another_mapping_name_or_kind_is_another_source(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    for name, text in MOVIES.items():
        (tmp_path / "r" / name).write_text(text)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("tconst,plot\ntt1,War.\n")

    def hashes(name: str, **columns: str) -> dict[str, str]:
        file = MetadataFile(path=tmp_path / name, columns={"imdb_id": "tconst"} | columns)
        return located(release=str(tmp_path / "r"), metadata=(file,)).of("metadata")

    assert hashes("a.csv") == hashes("a.csv")
    assert len({str(hashes("a.csv")), str(hashes("b.csv")), str(hashes("a.csv", overview="plot"))}) == 3
    assert located(release=str(tmp_path / "r")).of("ratings")["ratings-read-by"] == "csv"


def test_a_file_that_changes_after_it_was_hashed_makes_no_artifact(tmp_path: Path) -> None:
    for name, text in (MOVIES | {"tags.csv": "userId,movieId,tag,timestamp\n"}).items():
        (tmp_path / name).write_text(text)
    (tmp_path / "e.csv").write_text("tconst,plot\ntt1,War.\n")
    file = MetadataFile(path=tmp_path / "e.csv", columns={"imdb_id": "tconst"})
    source = located(release=str(tmp_path), metadata=(file,))
    catalogue = filled("catalogue", make_catalogue, source, source.of("movies"), "reject")
    steps: dict[str, tuple[Callable[..., object], str, tuple[object, ...]]] = {
        "movies.csv": (make_catalogue, "movies", ("reject",)),
        "e.csv": (make_movies, "metadata", (catalogue, {}, "reject")),
        "ratings.csv": (make_events, "ratings", (catalogue, RatingScale(), {}, "reject")),
        "tags.csv": (make_tags, "tags", (catalogue, "reject")),
    }
    for name, (make, role, given) in steps.items():
        assert filled(f"whole-{role}", make, source, source.of(role), *given)
        (tmp_path / name).write_text((tmp_path / name).read_text() + "\n")
        with pytest.raises(SourceError, match=f"{name}: expected the file as it was when the run began"):
            filled(f"changed-{role}", make, source, source.of(role), *given)
    (tmp_path / "ratings.csv").unlink()
    with pytest.raises(SourceError, match="found that it was changed meanwhile"):
        source.require_unchanged(source.of("ratings"))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("user,item,rating,timestamp\nu1,b1,3,5\n")
    items = {"path": tmp_path / "items.csv", "id": "id"}
    for missing, parameters in (
        ("none.csv", {"ratings": tmp_path / "none.csv"}),
        ("items.csv", {"ratings": tmp_path / "r.csv", "items": items}),
    ):
        with pytest.raises(SourceError, match=f"{missing}: expected a file"):
            located(generic=GenericParams.model_validate(parameters))


def test_sources_that_exclude_one_another_are_refused() -> None:
    generic = GenericParams(ratings=Path("r.csv"))
    with pytest.raises(ValidationError, match="a release or generic ratings; found both"):
        SourceParams(release="ml-1m", generic=generic)
    with pytest.raises(ValidationError, match="generic ratings alone"):
        SourceParams(generic=generic, metadata=(MetadataFile(path=Path("m.csv")),))


def test_ratings_without_times_cannot_be_later_ones() -> None:
    need_times(SourceParams(generic=GenericParams(ratings=Path("r.csv"))))
    with pytest.raises(DatasetError, match="expected a timestamp column"):
        need_times(SourceParams(generic=GenericParams(ratings=Path("r.csv"), timestamp=None)))


@pytest.mark.parametrize(
    "change",
    [
        "cluster.exchange=s3://key:TOPSECRET@bucket/x",
        "source.tmdb_api.base_url=https://example.org/?api_key=TOPSECRET",
        "source.omdb_api.base_url=https://:TOPSECRET@example.org",
        "source={release: TOPSECRET, generic: TOPSECRET}",
    ],
)
def test_a_refused_parameter_does_not_show_its_value(change: str) -> None:
    with pytest.raises(typer.BadParameter) as refused:
        resolved_profile("sample", changes=[change])
    assert "expected" in str(refused.value) or "valid" in str(refused.value)
    assert "TOPSECRET" not in str(refused.value)
