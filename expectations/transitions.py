"""The expectations on a dataset of transitions, which is validated by one profile row per user."""

from typing import TYPE_CHECKING

from storage.dataset.format import SPLIT_NAMES
from storage.dataset.scale import RatingScale
from storage.dataset.splits import SplitMode

if TYPE_CHECKING:
    import great_expectations as gx


def transitions_suite(items: int, scale: RatingScale, mode: SplitMode = "users") -> "gx.ExpectationSuite":
    """Critical: ranges, order and all splits of users. Warning: users without transitions.

    Args:
        items: I, the number of items of the dataset.
        scale: the ratings that are possible.
        mode: users: all three splits have users; leave-one-out: all users are training users.
    """
    import great_expectations as gx
    import great_expectations.expectations as gxe

    return gx.ExpectationSuite(
        name="transitions",
        meta={"identify": ["user_id", "split"]},
        expectations=[
            gxe.ExpectColumnValuesToBeUnique(column="user_id", severity="critical", notes="Splits are by user."),
            gxe.ExpectColumnDistinctValuesToEqualSet(
                column="split", value_set=list(SPLIT_NAMES[: 3 if mode == "users" else 1]), severity="critical",
                notes="Training, model selection and evaluation each need users; with leave-one-out each needs all.",
            ),
            gxe.ExpectColumnSumToBeBetween(
                column="transitions", min_value=1, severity="critical", notes="At least one transition."
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="item_min", min_value=0, severity="critical", notes="Item indices start at 0."
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="item_max", max_value=items - 1, severity="critical", notes="Every event's item has an embedding."
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="code_min", min_value=1, severity="critical", notes=f"The worst rating, {scale.lowest:g}."
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="code_max", max_value=scale.codes, severity="critical", notes=f"The best rating, {scale.highest:g}."
            ),
            gxe.ExpectColumnValuesToBeInSet(
                column="out_of_order", value_set=[0], severity="critical", notes="Histories are in time order."
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="transitions", min_value=1, mostly=0.9, severity="warning",
                notes="Users with F events or fewer have no transitions.",
            ),
        ],
    )  # fmt: skip
