"""The expectations on the events, which are validated by one profile row per user."""

from typing import TYPE_CHECKING

import numpy as np

from storage.dataset.scale import RatingScale
from storage.tables import LATEST_SECOND

if TYPE_CHECKING:
    import great_expectations as gx


def events_suite(scale: RatingScale, max_unknown_share: float) -> "gx.ExpectationSuite":
    """Critical: ranges, order, keys, and that few ratings were left out because their item is unknown.

    Args:
        scale: the ratings that are possible.
        max_unknown_share: the largest share of the ratings whose item may be unknown.
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
            gxe.ExpectColumnMaxToBeBetween(
                column="unknown_share", max_value=max_unknown_share,
                notes="The share of all ratings that was left out because their item is not in the table of items. If it is "
                "large, the columns of user and item are swapped, or the two files do not belong together: correct "
                "source.columns or the files, or raise source.max_unknown_share.", **critical
            ),
        ],
    )  # fmt: skip
