"""The page: what a user does changes both lists at once."""

import sys

import pytest
from streamlit.testing.v1 import AppTest

from serving.page.run import PageSettings, opened


def script(served, posters=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # AppTest runs this text alone
    from serving.page.show import show

    show(served, posters)


@pytest.fixture(autouse=True)
def main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest leaves its script as the main module, which processes that later tests spawn would run."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def page(published: str) -> AppTest:
    served = opened(PageSettings(where=published, policies=("policy@champion",)))
    served.stop()
    return AppTest.from_function(script, default_timeout=60, kwargs={"served": served}).run()


def titles(page: AppTest) -> list[str]:
    """The recommended items of both lists, the left one first."""
    return [one.value for one in page.markdown if one.value.startswith("**")]


def captions(page: AppTest) -> str:
    return "\n".join(one.value for one in page.caption)


def rate(page: AppTest, query: str) -> AppTest:
    page.text_input(key="query").input(query).run()
    return page.button(key="rate").click().run()


def test_without_ratings_both_lists_show_what_is_popular(page: AppTest) -> None:
    assert not page.exception
    assert titles(page)[0] == titles(page)[10] == r"**1\. The Matrix \(1999\)**"
    assert "there are no ratings" in captions(page)


def test_a_rating_changes_the_lists_at_once_and_says_why(page: AppTest) -> None:
    before = titles(page)
    rate(page, "heat")
    assert not page.exception
    assert len(titles(page)) == 20
    assert titles(page) != before
    assert not [one for one in titles(page) if "Heat" in one]
    assert "near Heat, rated 5" in captions(page)
    assert "critics' value" in captions(page)
    page.button(key="remove12").click().run()
    assert titles(page) == before


def test_an_example_user_can_be_taken_and_removed(page: AppTest) -> None:
    page.selectbox(key="example").select("sci-fi").run()
    page.button(key="take").click().run()
    rated = [one.label for one in page.button if one.label.startswith("✕")]
    assert len(rated) == 4
    page.button(key="clear").click().run()
    assert not [one for one in page.button if one.label.startswith("✕")]


def test_distance_diversity_and_length_shape_the_lists(page: AppTest) -> None:
    rate(page, "heat")
    own = titles(page)
    page.selectbox(key="distance").select("canberra").run()
    assert "no action" in captions(page)  # popularity, on the right
    measured = titles(page)
    assert measured[:10] != own[:10]
    assert measured[10:] == own[10:]
    page.slider(key="diversity").set_value(1.0).run()
    assert titles(page)[1:] != measured[1:]
    page.slider(key="k").set_value(3).run()
    assert len(titles(page)) == 6
    assert not page.exception
