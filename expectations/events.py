"""The expectations on the events, which are validated by one profile row per user."""

from typing import TYPE_CHECKING

import numpy as np

from storage.dataset.scale import RatingScale
from storage.tables import LATEST_SECOND

if TYPE_CHECKING:
    import great_expectations as gx


def events_suite(scale: RatingScale) -> "gx.ExpectationSuite":
    """Critical: ranges, order and keys.

    Args:
        scale: the ratings that are possible.
    """
    import great_expectations as gx
    import great_expectations.expectations as gxe

    critical = {"severity": "critical"}
    return gx.ExpectationSuite(
        name="events",
        meta={"identify": ["user_id", "first_row"]},
        expectations=[
            gxe.ExpectColumnValuesToBeUnique(
                column="user_id", notes="The events of a user are consecutive rows, so that a history is one slice.", **critical
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="rating_min", min_value=float(np.float32(scale.lowest)), notes=f"The scale is {scale}.", **critical
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="rating_max", max_value=float(np.float32(scale.highest)), notes=f"The scale is {scale}.", **critical
            ),
            gxe.ExpectColumnValuesToBeInSet(column="off_grid", value_set=[0], notes=f"The scale is {scale}.", **critical),
            gxe.ExpectColumnValuesToBeBetween(
                column="first_timestamp", min_value=0, notes="Unix seconds are not negative.", **critical
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="last_timestamp", max_value=LATEST_SECOND, notes="Later than 2100 are milliseconds.", **critical
            ),
            gxe.ExpectColumnValuesToBeInSet(
                column="out_of_order", value_set=[0], notes="Histories are in time order.", **critical
            ),
            gxe.ExpectColumnValuesToBeInSet(
                column="repeated", value_set=[0], notes="A user rates a movie once in a second.", **critical
            ),
            gxe.ExpectColumnValuesToBeInSet(
                column="unknown_movies", value_set=[0], notes="Every event's movie is in movies.parquet.", **critical
            ),
        ],
    )  # fmt: skip
