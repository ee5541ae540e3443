"""A table is validated in another process as it is in this one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from expectations.events import events_suite
from expectations.items import items_suite
from expectations.movies import movies_suite
from expectations.profiles import profile_events, profile_transitions
from expectations.transitions import transitions_suite
from expectations.validate import validate
from expectations.validation_process import ValidationProcess, ValidationProcessError
from storage.dataset.scale import RatingScale

SCALE = RatingScale(lowest=0.1, highest=0.7, step=0.1)
FILES = ("validation.json", "data_docs/index.html")


def movies_frame(rows: int = 5) -> pd.DataFrame:
    """As it comes from parquet: text, and whole numbers with gaps."""
    return pa.table(
        {
            "movie_id": range(rows),
            "tmdb_id": pa.array([*range(rows - 1), None], pa.int64()),
            "title": [f"Film {row}" for row in range(rows)],
            "year": pa.array([None, *[1999] * (rows - 1)], pa.int16()),
            "has_metadata": [True] * rows,
        }
    ).to_pandas()


def events_frame(rating: float = 0.3) -> pd.DataFrame:
    user = np.repeat(np.arange(1, 7), 12)
    table = pa.table(
        {
            "user_id": user,
            "movie_id": np.tile(np.arange(12), 6),
            "rating": np.where(np.arange(72) == 13, rating, 0.3).astype(np.float32),
            "timestamp": np.tile(np.arange(12) * 10, 6),
        }
    )
    return profile_events([table], np.arange(12), SCALE, 0.0)


def transitions_frame(code: int = 7) -> pd.DataFrame:
    return profile_transitions(
        items=np.arange(72) % 20,
        codes=np.where(np.arange(72) == 13, code, 7).astype(np.uint8),
        timestamps=np.arange(72),
        offsets=np.array([0, 12, 24, 24, 48, 60, 72]),  # one user has no events
        user_ids=np.arange(6),
        split=(np.arange(6) % 3).astype(np.uint8),
        frame=10,
    )


def items_frame(norm: float = 1.0) -> pd.DataFrame:
    frame = {
        "item_index": np.arange(5, dtype=np.int32),
        "movie_id": range(5),
        "title": [*"abcd", None],
        "has_text": True,
    }
    return pd.DataFrame(frame).assign(not_finite=0, embedding_norm=np.array([norm, 1, 1, 1, np.nan], np.float32))


@pytest.fixture(scope="module")
def process() -> Iterator[ValidationProcess]:
    with ValidationProcess() as running:
        yield running


EVENTS = {"scale": SCALE, "max_unknown_share": 0.2}
CASES: list[tuple[Any, pd.DataFrame, dict[str, Any], bool]] = [
    (movies_suite, movies_frame(), {}, True),
    (movies_suite, movies_frame().assign(title=["a", None, "", "d", "e"], movie_id=[0, 1, 2, 3, 0]), {}, False),
    (events_suite, events_frame(), EVENTS, True),
    (events_suite, events_frame(0.9), EVENTS, False),
    (events_suite, pd.DataFrame(), EVENTS, False),
    (transitions_suite, transitions_frame(), {"items": 20, "scale": SCALE}, True),
    (transitions_suite, transitions_frame(9), {"items": 20, "scale": SCALE}, False),
    (items_suite, items_frame().iloc[:4], {"items": 4}, True),
    (items_suite, items_frame(0.0), {"items": 5}, False),
    (items_suite, items_frame().drop(columns="embedding_norm"), {"items": 5}, False),
]


@pytest.mark.parametrize(("suite", "frame", "parameters", "passes"), CASES)
def test_result_and_record_are_those_of_a_validation_in_this_process(
    process: ValidationProcess,
    tmp_path: Path,
    suite: Any,
    frame: pd.DataFrame,
    parameters: dict[str, Any],
    passes: bool,
) -> None:
    folders = tmp_path / "there", tmp_path / "here"
    for folder in folders:
        folder.mkdir()
    there = process.validate(suite, frame, folders[0], **parameters)
    here = validate(frame, suite(**parameters), folders[1])
    assert there == here
    assert there.passed == passes, there.message()
    for file in FILES:
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes()


def test_threads_take_turns_and_get_their_own_results(process: ValidationProcess, tmp_path: Path) -> None:
    def rows(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        return process.validate(movies_suite, movies_frame(count), folder).rows

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(rows, range(2, 10))) == list(range(2, 10))


def test_a_failed_validation_is_reported_and_the_next_table_is_validated(
    process: ValidationProcess, tmp_path: Path
) -> None:
    with pytest.raises(
        ValidationProcessError, match=r"expectations\.items: expected a result; the validation failed: TypeError"
    ):
        process.validate(items_suite, items_frame(), tmp_path, items=RatingScale())
    with pytest.raises(FileNotFoundError):  # as from a write in this process: a full disk stays a full disk
        process.validate(movies_suite, movies_frame(), tmp_path / "nowhere")
    assert process.validate(movies_suite, movies_frame(), tmp_path).passed
