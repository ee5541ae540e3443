"""The expectations on the items and their embeddings, which are validated by one profile row per item."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import great_expectations as gx


def items_suite(items: int) -> "gx.ExpectationSuite":
    """Critical: a dense index and finite embeddings. Warning: vectors of zero length, items without text.

    Args:
        items: I, the number of movies.
    """
    import great_expectations as gx
    import great_expectations.expectations as gxe

    return gx.ExpectationSuite(
        name="items",
        meta={"identify": ["item_index", "movie_id", "title"]},
        expectations=[
            gxe.ExpectTableRowCountToEqual(value=items, severity="critical", notes="One item per movie."),
            gxe.ExpectColumnValuesToBeUnique(column="item_index", severity="critical", notes="The index is dense."),
            gxe.ExpectColumnValuesToBeBetween(
                column="item_index", min_value=0, max_value=items - 1, severity="critical", notes="The index is dense."
            ),
            gxe.ExpectColumnValuesToBeUnique(column="movie_id", severity="critical", notes="One item per movie."),
            gxe.ExpectColumnValuesToBeInSet(
                column="not_finite", value_set=[0], severity="critical", notes="Training fails with NaN in an embedding."
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="embedding_norm", min_value=1e-6, mostly=0.99, severity="critical",
                notes="A vector of zero length has no direction to rank by.",
            ),
            gxe.ExpectColumnValuesToBeInSet(
                column="has_text", value_set=[True], mostly=0.9, severity="warning", notes="Texts carry most of the content."
            ),
        ],
    )  # fmt: skip
