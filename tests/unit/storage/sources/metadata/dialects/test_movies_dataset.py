import datetime as dt
import time
from pathlib import Path

import pytest
from unit.storage.sources.metadata.exports_support import LITERALS, export, read_export

from storage.errors import MetadataError
from storage.sources.bad_rows import BadRows


def test_python_literals_are_matched_not_evaluated(tmp_path: Path) -> None:
    genres = "\"[{'id': 16, 'name': 'Animation'}, {'id': 35, 'name': \"\"Kids' \\u0041\"\"}]\""
    collection = "\"{'id': 1, 'name': 'Toys', 'poster_path': None}\""
    good = f"False,{collection},5000,{genres},862,tt0114709,Toy,Text,1.5,[],1995-10-30,Released\n"
    evil = "".join(
        f"False,,0,{cell},{place},,,T,1,[],,\n"
        for place, cell in enumerate(("[" * 5000, "-" * 5000, "[1]", "{'a': {}}"), 1)
    )
    shifted = " - Written by X,0.06,/a.jpg,[],1997-08-20,0,104.0,T,1,[],,\n"
    bad = BadRows("quarantine")
    table, facts = read_export(export(tmp_path, good + evil + shifted, header=LITERALS), bad)
    (movie,) = table.to_pylist()
    assert (movie["metadata_genres"], movie["collection"]) == (["Animation", "Kids' A"], "Toys")
    assert (movie["adult"], movie["status"], movie["release_date"]) == (False, "Released", dt.date(1995, 10, 30))
    assert facts["dropped_broken"] == 5
    assert [row.line for row in bad.rows] == [3, 4, 5, 6, 7]


def test_literals_cannot_be_made_to_hang(tmp_path: Path) -> None:
    cells = ["[" + "{'name': 'a', " * 20_000, "[{" + "'a'" * 50_000, "'" * 100_000, "[{'n': '" + "\\" * 100_001]
    rows = "".join(f"False,,0,{cell.replace(chr(44), ';')},{place},,,T,1,[],,\n" for place, cell in enumerate(cells))
    start = time.process_time()
    with pytest.raises(MetadataError, match="none readable"):
        read_export(export(tmp_path, rows, header=LITERALS))
    assert time.process_time() - start < 5


def test_keywords_beside_the_exports(tmp_path: Path) -> None:
    path = export(
        tmp_path, "862,\"[{'id': 931, 'name': 'jealousy'}, {'id': 4290, 'name': 'toy'}]\"\n", header="id,keywords\n"
    )
    (movie,) = read_export(path)[0].to_pylist()
    assert (movie["tmdb_id"], movie["keywords"]) == (862, ["jealousy", "toy"])
