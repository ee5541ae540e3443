from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.storage.sources.movielens.tags_support import release

from storage.errors import RatingsSchemaError, SourceError
from storage.sources.bad_rows import BadRows
from storage.sources.movielens.genome import read_genome

SCORES = "movieId,tagId,relevance\n"
GENOME_TAGS = "tagId,tag\n1,007\n2,18th century\n5,  spaced   out\n"


def test_the_genome_is_a_grid_by_movie_and_tag_id(tmp_path: Path) -> None:
    scores = SCORES + "9,1,0.5\n9,2,1\n9,5,0.02400000000000002\n4,5,0\n4,2,0.25\n4,1,1e-3\n"
    for text in (scores, scores.replace("\n", "\r\n"), scores.rstrip(), "﻿" + scores, scores.replace("4,5", "\n4,5")):
        genome = read_genome(release(tmp_path, genome_scores=text, genome_tags=GENOME_TAGS), BadRows())
        assert genome is not None
        assert genome.movie_ids.tolist() == [4, 9]
        assert genome.tags == ["007", "18th century", "spaced out"]
        assert genome.relevance.dtype == np.float32
        np.testing.assert_allclose(genome.relevance, [[0.001, 0.25, 0], [0.5, 1, 0.024]], rtol=1e-6)
        assert genome.missing == 0


def test_columns_of_the_genome_in_another_order_and_large_ids(tmp_path: Path) -> None:
    text = "tagId,relevance,movieId\n" + "".join(f"{tag},0.{tag},{2**40}\n" for tag in (1, 2, 5))
    genome = read_genome(release(tmp_path, genome_scores=text, genome_tags=GENOME_TAGS), BadRows())
    assert genome is not None
    assert genome.movie_ids.tolist() == [2**40]
    np.testing.assert_allclose(genome.relevance, [[0.1, 0.2, 0.5]], rtol=1e-6)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("4,2,1.01", "expected relevance from 0 to 1; found '1.01'"),
        ("4,2,-0.1", "found '-0.1'"),
        ("4,2,NaN", "found 'NaN'"),
        ("4,2,", "found ''"),
        ("4,3,0.5", "expected a tagId of genome-tags.csv; found 3"),
        ("4,99,0.5", "expected a tagId of genome-tags.csv; found 99"),
        ("x,2,0.5", "expected movieId and tagId as whole numbers"),
        ("4,2", "expected 3 fields; found 2"),
        ("9,2,0.5", "expected every pair of movieId and tagId once"),
    ],
)
def test_a_bad_score_is_set_aside_and_leaves_a_hole(
    tmp_path: Path, row: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sources.movielens.genome.BLOCK_BYTES", 12)
    text = f"{SCORES}9,1,0.5\n9,2,1\n9,5,0\n4,1,1\n{row}\n4,5,0.5\n"
    bad = BadRows("quarantine")
    genome = read_genome(release(tmp_path, genome_scores=text, genome_tags=GENOME_TAGS), bad)
    assert genome is not None
    assert genome.missing == 1
    np.testing.assert_array_equal(genome.relevance, np.array([[1, np.nan, 0.5], [0.5, 1, 0]], dtype=np.float32))
    assert [(found.file, found.line) for found in bad.rows] == [("genome-scores.csv", 6)]
    assert reason in bad.rows[0].reason
    with pytest.raises(SourceError, match=r"genome-scores.csv, line 6: expected"):
        read_genome(release(tmp_path, genome_scores=text, genome_tags=GENOME_TAGS), BadRows())


def test_genomes_that_are_none(tmp_path: Path) -> None:
    assert read_genome(release(tmp_path), BadRows()) is None
    with pytest.raises(SourceError, match=r"expected genome-tags.csv beside it"):
        read_genome(release(tmp_path, genome_scores=SCORES), BadRows())
    for scores, error, expected in (
        (SCORES, SourceError, "found 0 of 0"),
        (SCORES + "1,1,0.5\n", SourceError, "found 1 of 3"),
        ("a,b,c\n", RatingsSchemaError, "expected columns movieId,tagId,relevance"),
        ("", SourceError, "the file is empty"),
    ):
        with pytest.raises(error, match=expected):
            read_genome(release(tmp_path, genome_scores=scores, genome_tags=GENOME_TAGS), BadRows())
    bad = BadRows("quarantine")
    genome = read_genome(
        release(tmp_path, genome_scores=SCORES + "1,1,0.5\n", genome_tags="tagId,tag\n1,a\n1,b\nx,c\n9999999,d\n"), bad
    )
    assert genome is not None
    assert (genome.tags, [row.line for row in bad.rows]) == (["a"], [3, 4, 5])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=30), st.integers(0, 60))
def test_damage_gives_only_typed_errors(tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int) -> None:
    text = (SCORES + "9,1,0.5\n9,2,1\n9,5,0\n4,1,1\n").encode()
    folder = tmp_path_factory.mktemp("g")
    bad = BadRows("quarantine")
    damaged = text[:place] + noise + text[place:]
    try:
        genome = read_genome(release(folder, genome_scores=damaged, genome_tags=GENOME_TAGS), bad)
        assert genome is not None
        held = genome.relevance[~np.isnan(genome.relevance)]
        assert ((held >= 0) & (held <= 1)).all()
    except SourceError as error:
        assert "expected" in str(error)
    assert all(1 < row.line <= damaged.count(b"\n") + 1 for row in bad.rows)


def test_a_grid_that_the_file_cannot_fill_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.sources.movielens.genome.MIN_PAIRS", 1000)
    tags = "tagId,tag\n" + "".join(f"{tag},t{tag}\n" for tag in range(1, 1000))
    scores = SCORES + "".join(f"{movie},1,0.5\n" for movie in range(1, 100))
    with pytest.raises(SourceError, match="every pair of 99 movies and 999 tags; found room for"):
        read_genome(release(tmp_path, genome_scores=scores, genome_tags=tags), BadRows())


def test_a_line_without_an_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.sources.movielens.genome.BLOCK_BYTES", 50_000)
    scores = SCORES + "9,1,0.5\n" + "9" * 200_000
    with pytest.raises(SourceError, match="line 3: expected at most 65536 bytes in a line; found more"):
        read_genome(release(tmp_path, genome_scores=scores, genome_tags=GENOME_TAGS), BadRows())
