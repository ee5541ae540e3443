"""Titles as people write them."""

import numpy as np
import pytest

from serving.titles import Match, Titles, searchable

NAMES = ["The Matrix", "The Matrix Reloaded", "Heat", "Amélie", "Solaris", "Solaris", "Seven Samurai", "Heathers"]
YEARS = [1999, 2003, 1995, 2001, 1972, 2002, 1954, 0]


@pytest.fixture
def titles() -> Titles:
    return Titles(NAMES, np.array(YEARS), np.array([9, 5, 7, 4, 1, 3, 2, 8]))


@pytest.mark.parametrize(
    ("written", "item"),
    [
        ("The Matrix", 0), ("matrix, THE (1999)", 0), ("the  matrix: reloaded", 1), ("amelie", 3), ("Solaris (1972)", 4),
        ("heat", 2), ("Heathers", 7),
    ],
)  # fmt: skip
def test_a_title_without_doubt_is_found(titles: Titles, written: str, item: int) -> None:
    assert titles.match(written) == Match(item)


@pytest.mark.parametrize(
    ("written", "proposals"),
    [
        ("Solaris", (5, 4)),  # the more popular one first
        ("Solaris (1999)", (5, 4)),
        ("Teh Matrix", (0, 1)),
        ("Seven Samuraj (1954)", (6,)),
        ("qwertyuiop", ()),
        ("", ()),
    ],
)
def test_a_doubtful_title_is_not_chosen_but_proposed(titles: Titles, written: str, proposals: tuple[int, ...]) -> None:
    assert titles.match(written) == Match(None, proposals)


@pytest.mark.parametrize(
    ("query", "found"),
    [("matrix", (0, 1)), ("heat", (7, 2)), ("matrix re", (1,)), ("sevn samurai", (6,)), ("??", ()), ("MÉLIE", (3,))],
)
def test_a_search_finds_words_and_mends_typing_errors(titles: Titles, query: str, found: tuple[int, ...]) -> None:
    assert titles.search(query, 5) == found


def test_the_most_are_returned(titles: Titles) -> None:
    assert titles.search("a", 2) == (3, 0)
    assert searchable("Amélie,  The") == "the amelie"
