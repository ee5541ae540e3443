"""Exports of the known dialects, and a reader of one."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.sources.bad_rows import BadRows
from storage.sources.metadata.files import MetadataFile, read_metadata

UDACITY = "id,imdb_id,popularity,budget,revenue,cast,director,tagline,keywords,overview,runtime,genres,production_companies,release_year\n"
LITERALS = "adult,belongs_to_collection,budget,genres,id,imdb_id,original_title,overview,popularity,production_companies,release_date,status\n"  # noqa: E501
KAGGLE = "budget,genres,id,keywords,original_language,overview,popularity,production_companies,production_countries,revenue,runtime,spoken_languages,tagline\n"  # noqa: E501

DETAILS: dict[str, Any] = {
    "id": 607, "imdb_id": "tt0119654", "title": "Men", "genres": [{"id": 1, "name": "Action"}], "release_date": "1997-07-02",
    "belongs_to_collection": {"name": "Men Collection"}, "adult": False, "revenue": 12, "budget": 90_000_000,
    "spoken_languages": [{"english_name": "Spanish", "name": "Español"}],
    "keywords": {"keywords": [{"name": "alien"}]},
    "release_dates": {"results": [{"iso_3166_1": "DE", "release_dates": [{"certification": "12"}]},
                                  {"iso_3166_1": "US", "release_dates": [{"certification": ""}, {"certification": "PG-13"}]}]},
    "credits": {"cast": [{"name": f"A{place}"} for place in range(9)],
                "crew": [{"name": "D", "job": "Director", "department": "Directing"},
                         {"name": "W", "job": "Screenplay", "department": "Writing"}]},
}  # fmt: skip


def export(folder: Path, rows: str, name: str = "e.csv", header: str = UDACITY) -> Path:
    (folder / name).write_text(header + rows, encoding="utf-8")
    return folder / name


def read_export(path: Path, bad: BadRows | None = None) -> tuple[pa.Table, dict[str, Any]]:
    table, facts, _ = read_metadata(MetadataFile(path=path), bad)
    return table, facts
