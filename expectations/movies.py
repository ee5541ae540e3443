"""The expectations on the movies."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import great_expectations as gx


def movies_suite() -> "gx.ExpectationSuite":
    """Critical: keys and titles. Warning: ids of other services, years, share of movies with metadata."""
    import great_expectations as gx
    import great_expectations.expectations as gxe

    return gx.ExpectationSuite(
        name="movies",
        meta={"identify": ["movie_id", "title"]},
        expectations=[
            gxe.ExpectColumnValuesToNotBeNull(column="movie_id", severity="critical", notes="The key."),
            gxe.ExpectColumnValuesToBeUnique(column="movie_id", severity="critical", notes="The key."),
            gxe.ExpectColumnValuesToNotBeNull(column="title", severity="critical", notes="Reports show titles."),
            gxe.ExpectColumnValueLengthsToBeBetween(
                column="title", min_value=1, severity="critical", notes="Reports show titles."
            ),
            gxe.ExpectColumnValuesToNotBeNull(column="has_metadata", severity="critical", notes="A flag is yes or no."),
            gxe.ExpectColumnValuesToBeUnique(
                column="tmdb_id", severity="warning", notes="Two movies with one TMDB id get the same metadata."
            ),
            gxe.ExpectColumnValuesToBeBetween(
                column="year", min_value=1870, max_value=2100, severity="warning", notes="The first movies were made in the 1870s."
            ),
            gxe.ExpectColumnValuesToBeInSet(
                column="has_metadata", value_set=[True], mostly=0.5, severity="warning",
                notes="Movies without metadata are embedded by title, genres and ratings alone.",
            ),
        ],
    )  # fmt: skip
