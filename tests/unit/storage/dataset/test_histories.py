import numpy as np

from storage.dataset.histories import UserHistories, events_table, rows_of
from storage.dataset.scale import RatingScale
from storage.tables import EVENTS_SCHEMA


def test_events_table() -> None:
    histories = UserHistories(
        user_id=np.array([3, 9]),
        length=np.array([1, 2]),
        item=np.array([0, 1, 4], np.int32),
        code=np.array([1, 10, 2], np.uint8),
        timestamp=np.array([5, 4, 6]),
    )
    table = events_table(histories, np.array([20, 40, 60, 80, 100]), RatingScale(lowest=1, highest=10, step=1))
    assert table.schema == EVENTS_SCHEMA
    assert table.to_pydict() == {
        "user_id": [3, 9, 9], "movie_id": [20, 40, 100], "rating": [1.0, 10.0, 2.0], "timestamp": [5, 4, 6],
    }  # fmt: skip


def test_rows_of_runs() -> None:
    assert rows_of(np.array([7, 2, 5]), np.array([2, 0, 3])).tolist() == [7, 8, 5, 6, 7]
