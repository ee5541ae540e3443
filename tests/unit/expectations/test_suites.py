"""Every suite passes what is good, fails what is not and names the row."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from expectations.events import events_suite
from expectations.items import items_suite
from expectations.movies import movies_suite
from expectations.profiles import profile_events, profile_items, profile_transitions
from expectations.transitions import transitions_suite
from expectations.validate import validate
from expectations.validation_result import ValidationResult
from storage.dataset.scale import RatingScale
from storage.files import sha256_file

USERS, EACH, ITEMS = 6, 12, 20


def events() -> pd.DataFrame:
    user = np.repeat(np.arange(1, USERS + 1), EACH)
    return pd.DataFrame(
        {
            "user_id": user,
            "movie_id": np.tile(np.arange(EACH), USERS),
            "rating": np.full(len(user), 3.5, np.float32),
            "timestamp": np.tile(np.arange(EACH) * 10 + 1000, USERS),
        }
    )


def validate_events(folder: Path, change: Callable[[pd.DataFrame], Any]) -> ValidationResult:
    frame = events()
    change(frame)
    profile = profile_events([pa.Table.from_pandas(frame, preserve_index=False)], np.arange(ITEMS), RatingScale(), 0.1)
    return validate(profile, events_suite(RatingScale(), 0.1), folder)


def put(column: str, row: int, value: Any) -> Callable[[pd.DataFrame], Any]:
    return lambda frame: frame.__setitem__(column, frame[column].where(frame.index != row, value))


def test_good_events_pass(tmp_path: Path) -> None:
    result = validate_events(tmp_path, lambda frame: None)
    assert result.passed
    assert result.rows == USERS
    assert not result.warnings


@pytest.mark.parametrize(
    ("change", "column"),
    [
        (put("rating", 13, 7.0), "rating_max"),
        (put("rating", 13, 0.0), "rating_min"),
        (put("rating", 13, 3.3), "off_grid"),
        (put("timestamp", 13, -5), "first_timestamp"),
        (put("timestamp", 13, 1_537_799_250_000), "last_timestamp"),
        (put("timestamp", 14, 999), "out_of_order"),
        (put("movie_id", 13, 99), "unknown_movies"),
    ],
)
def test_a_planted_fault_fails_and_names_the_user(tmp_path: Path, change: Callable[..., Any], column: str) -> None:
    result = validate_events(tmp_path, change)
    assert not result.passed
    failure = next(failure for failure in result.failures if failure.column == column)
    assert failure.examples[0]["user_id"] == 2
    assert failure.examples[0]["first_row"] == EACH
    assert column in result.message()
    assert '"user_id": 2' in result.message()


def test_ratings_lost_for_unknown_items_fail(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = pa.Table.from_pandas(events(), preserve_index=False)
    profile = profile_events([table], np.arange(ITEMS), RatingScale(), unknown_share=0.6)
    result = validate(profile, events_suite(RatingScale(), max_unknown_share=0.2), tmp_path)
    assert [(failure.column, failure.found) for failure in result.failures] == [("unknown_share", "0.6")]
    assert "the columns of user and item are swapped" in result.message()
    assert not [one for one in caplog.records if one.levelname == "ERROR"], "the page could not be made whole"
    assert "0.6" in re.sub(r"<.*?>", "", (tmp_path / "data_docs" / "index.html").read_text())


def test_repeated_event_fails(tmp_path: Path) -> None:
    def repeat(frame: pd.DataFrame) -> None:
        frame.loc[14] = frame.loc[13]

    assert {failure.column for failure in validate_events(tmp_path, repeat).failures} == {"repeated"}


def test_an_empty_table_never_passes(tmp_path: Path) -> None:
    result = validate_events(tmp_path, lambda frame: frame.drop(frame.index, inplace=True))
    assert not result.passed
    assert "empty table" in result.message()
    assert (tmp_path / "data_docs" / "index.html").exists()


def movies() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "movie_id": range(5),
            "title": list("abcde"),
            "tmdb_id": [1, 2, 3, 4, None],
            "year": [1999.0] * 5,
            "has_metadata": [True] * 5,
        }
    )


def test_a_warning_lets_pass_and_is_recorded(tmp_path: Path) -> None:
    frame = movies()
    frame.loc[1, "tmdb_id"] = 1
    result = validate(frame, movies_suite(), tmp_path)
    assert result.passed
    assert [warning.column for warning in result.warnings] == ["tmdb_id"]
    assert "warning" in result.message()
    assert ValidationResult.model_validate_json((tmp_path / "validation.json").read_text()) == result


def test_a_table_without_rows_fails(tmp_path: Path) -> None:
    result = validate(movies().iloc[:0], movies_suite(), tmp_path)
    assert not result.passed
    assert result.message().startswith("movies: expected rows; found an empty table.")
    assert ValidationResult.model_validate_json((tmp_path / "validation.json").read_text()) == result


def test_missing_title_and_repeated_key_fail(tmp_path: Path) -> None:
    frame = movies()
    frame.loc[2, "title"] = None
    frame.loc[3, "movie_id"] = 0
    result = validate(frame, movies_suite(), tmp_path)
    assert {failure.column for failure in result.failures} >= {"title", "movie_id"}


def items(embedding: np.ndarray[Any, Any], index: list[int] | None = None) -> pa.Table:
    count, width = embedding.shape
    return pa.table(
        {
            "item_index": pa.array(index or list(range(count)), pa.int32()),
            "movie_id": list(range(count)),
            "title": [f"M{n}" for n in range(count)],
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(embedding.ravel()), width),
            "has_text": [True] * count,
            "has_metadata": [True] * count,
        }
    )


def test_items(tmp_path: Path) -> None:
    embedding = np.random.default_rng(0).normal(size=(ITEMS, 4)).astype(np.float32)
    good = validate(profile_items(items(embedding)), items_suite(ITEMS), tmp_path)
    assert good.passed, good.message()
    embedding[7, 2] = np.nan
    spoilt = validate(profile_items(items(embedding)), items_suite(ITEMS), tmp_path)
    assert spoilt.failures[0].examples[0]["movie_id"] == 7
    gap = [*range(ITEMS - 1), ITEMS]
    assert not validate(profile_items(items(np.ones((ITEMS, 4), np.float32), gap)), items_suite(ITEMS), tmp_path).passed
    assert not validate(profile_items(items(np.ones((3, 4), np.float32))), items_suite(ITEMS), tmp_path).passed


def transitions(**changes: Any) -> pd.DataFrame:
    values = {
        "items": np.arange(USERS * EACH) % ITEMS,
        "codes": np.full(USERS * EACH, 7, np.uint8),
        "timestamps": np.tile(np.arange(EACH), USERS),
        "offsets": np.arange(USERS + 1) * EACH,
        "user_ids": np.arange(USERS),
        "split": (np.arange(USERS) % 3).astype(np.uint8),
        "frame": 10,
    } | changes
    return profile_transitions(**values)


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"codes": np.full(USERS * EACH, 11, np.uint8)}, "code_max"),
        ({"items": np.full(USERS * EACH, ITEMS)}, "item_max"),
        ({"split": np.zeros(USERS, np.uint8)}, "split"),
        ({"frame": EACH}, "transitions"),
        ({"timestamps": np.tile(np.arange(EACH)[::-1], USERS)}, "out_of_order"),
    ],
)
def test_transitions(tmp_path: Path, changes: dict[str, Any], column: str) -> None:
    assert validate(transitions(), transitions_suite(ITEMS, RatingScale()), tmp_path).passed
    result = validate(transitions(**changes), transitions_suite(ITEMS, RatingScale()), tmp_path)
    assert column in {failure.column for failure in result.failures}


def test_with_leave_one_out_all_users_train(tmp_path: Path) -> None:
    suite = transitions_suite(ITEMS, RatingScale(), "leave-one-out")
    assert validate(transitions(split=np.zeros(USERS, np.uint8)), suite, tmp_path).passed
    assert [failure.column for failure in validate(transitions(), suite, tmp_path).failures] == ["split"]


def test_equal_tables_give_equal_bytes_and_pages_need_no_network(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        validate(movies(), movies_suite(), tmp_path / name)
    files = ("validation.json", "data_docs/index.html")
    assert [sha256_file(tmp_path / "a" / file) for file in files] == [
        sha256_file(tmp_path / "b" / file) for file in files
    ]
    page = (tmp_path / "a" / "data_docs" / "index.html").read_text()
    assert 'src="http' not in page
    assert 'rel="stylesheet"' not in page
    assert "movie_id" in page
    assert "movies: 5 rows, 8 expectations: passed." in page


@pytest.mark.parametrize("rows", [1, 5, EACH, 17, 1000])
def test_the_profile_of_events_is_the_same_wherever_the_table_is_cut(rows: int) -> None:
    frame = events()
    frame.loc[[3, 30, 31], "rating"] = [7.0, 3.3, np.nan]
    frame.loc[[14, 26, 27, 28], ["movie_id", "timestamp"]] = [5, 2000]
    frame.loc[40, "movie_id"] = -(2**62)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    cut = [table.slice(row, rows) for row in range(0, table.num_rows, rows)]
    profile = profile_events(cut, np.arange(ITEMS), RatingScale(), 0.0)
    assert profile["user_id"].tolist() == list(range(1, USERS + 1))
    assert profile["first_row"].tolist() == list(range(0, USERS * EACH, EACH))
    assert profile["events"].tolist() == [EACH] * USERS
    assert profile["off_grid"].tolist() == [0, 0, 2, 0, 0, 0]
    assert profile["repeated"].tolist() == [0, 0, 2, 0, 0, 0]
    assert profile["out_of_order"].tolist() == [0, 1, 1, 0, 0, 0]
    assert profile["unknown_movies"].tolist() == [0, 0, 0, 1, 0, 0]
    assert profile["rating_max"].tolist()[:2] == [7.0, 3.5]


def test_other_scales_have_other_bounds(tmp_path: Path) -> None:
    scale = RatingScale(lowest=0.1, highest=0.7, step=0.1)
    frame = events().assign(rating=np.resize(np.arange(1, 8) / 10, USERS * EACH).astype(np.float32))

    def result() -> ValidationResult:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        return validate(profile_events([table], np.arange(ITEMS), scale, 0.0), events_suite(scale, 0.0), tmp_path)

    assert result().passed, result().message()
    frame.loc[7, "rating"] = 0.8
    assert {failure.column for failure in result().failures} == {"rating_max"}
