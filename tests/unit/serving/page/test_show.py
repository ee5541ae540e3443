"""The page: what a user does changes both lists at once."""

import json
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from unit.serving import serving_support
from unit.serving.serving_support import ITEMS, make_policy, publish_policy

from serving.page.run import PageSettings, opened_policies


def script(served, posters=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # AppTest runs this text alone
    from serving.page.show import show

    show(served, posters)


@pytest.fixture(autouse=True)
def main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest leaves its script as the main module, which processes that later tests spawn would run."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


def page_of(where: str, *policies: str) -> AppTest:
    served = opened_policies(PageSettings(where=where, policies=policies))
    served.stop()
    return AppTest.from_function(script, default_timeout=60, kwargs={"served": served}).run()


@pytest.fixture
def page(published: str) -> AppTest:
    return page_of(published, "policy@champion")


def items(page: AppTest) -> list[str]:
    """The recommended items of both lists as HTML, the left list first."""
    return [one.proto.body for one in page.get("html")]


def titles(page: AppTest) -> list[str]:
    return [one.partition("</strong>")[0].removeprefix("<strong>") for one in items(page)]


def captions(page: AppTest) -> str:
    return "\n".join(one.value for one in page.caption)


def rate(page: AppTest, query: str) -> AppTest:
    page.text_input(key="query").input(query).run()
    return page.button(key="rate").click().run()


def test_without_ratings_both_lists_show_what_is_popular(page: AppTest) -> None:
    assert not page.exception
    assert titles(page)[0] == titles(page)[10] == "1. The Matrix (1999)"
    assert "there are no ratings" in captions(page)


def test_a_rating_changes_the_lists_at_once_and_says_why(page: AppTest) -> None:
    before = titles(page)
    rate(page, "heat")
    assert not page.exception
    assert len(titles(page)) == 20
    assert titles(page) != before
    assert not [one for one in titles(page) if "Heat" in one]
    assert any("near Heat, rated 5" in one for one in items(page))
    assert any("critics' value" in one for one in items(page))
    page.button(key="remove12").click().run()
    assert titles(page) == before


def test_a_second_click_on_a_removed_rating_does_nothing(page: AppTest) -> None:
    rate(page, "heat")
    page.session_state["ratings"].clear()  # by the first click, whose answer the browser has not shown yet
    page.button(key="remove12").click().run()
    assert not page.exception


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


def test_the_weight_of_the_critics_changes_the_list_of_a_method_that_has_some(page: AppTest) -> None:
    rate(page, "heat")
    own = titles(page)
    page.select_slider(key="critic_weight").set_value(0.0).run()
    assert not page.exception
    assert "This method has no critics" in captions(page)  # popularity, on the right
    assert titles(page)[:10] != own[:10]
    assert titles(page)[10:] == own[10:]
    page.selectbox(key="distance").select("cosine").run()
    assert page.select_slider(key="critic_weight").disabled
    assert "no critics" not in captions(page)


def test_without_critics_there_is_no_weight(tmp_path: Path, published: str) -> None:
    maker = tmp_path / "maker"
    publish_policy(maker, make_policy(maker, "without critics"), published, "imitation")
    page = page_of(published, "policy@imitation")
    assert not page.exception
    assert [one.key for one in page.select_slider] == ["rating"]


def test_a_policy_of_another_catalogue_or_scale_says_what_it_cannot_use(tmp_path: Path, published: str) -> None:
    maker = tmp_path / "maker"
    publish_policy(maker, make_policy(maker, seed=1, ids=range(11, 11 + ITEMS)), published, "other")
    page = page_of(published, "policy@champion", "policy@other")
    page.text_input(key="query").input("The Matrix").run()
    page.button(key="rate").click().run()
    rate(page, "heat")
    assert not page.exception
    assert "does not know 1 of your movies" in captions(page)

    def twice(folder: Path) -> None:
        stored = json.loads((folder / "ratings.json").read_text())
        stored["scale"]["lowest"] = 2.0
        (folder / "ratings.json").write_text(json.dumps(stored))

    publish_policy(maker, make_policy(maker, seed=2, spoil=twice), published, "scale")
    page = page_of(published, "policy@champion", "policy@scale")
    page.text_input(key="query").input("heat").run()
    page.select_slider(key="rating").set_value(0.5).run()
    page.button(key="rate").click().run()
    assert not page.exception
    assert len(titles(page)) == 10
    assert any("expected one of" in one.value for one in page.error)


def test_two_policies_are_side_by_side(tmp_path: Path, published: str) -> None:
    publish_policy(tmp_path / "maker", make_policy(tmp_path / "maker", "ranking"), published, "ranking")
    page = page_of(published, "policy@champion", "policy@ranking")
    assert [page.selectbox(key=f"method{side}").value for side in (0, 1)] == ["policy@champion", "policy@ranking"]
    rate(page, "heat")
    assert not page.exception
    assert titles(page)[:10] != titles(page)[10:]
    page.selectbox(key="method1").select("policy@champion").run()
    assert titles(page)[:10] == titles(page)[10:]


def test_a_title_is_shown_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARQUEE_HOME", str(tmp_path / "reader"))
    hostile = "<img src=x onerror=alert(1)> ![x](http://evil.example) www.evil.example"
    monkeypatch.setitem(serving_support.NAMED, 0, (hostile, 1999, ["<b>Action"]))
    publish_policy(tmp_path / "maker", make_policy(tmp_path / "maker"), str(tmp_path / "published"))
    page = page_of(str(tmp_path / "published"), "policy@champion")
    written = "&lt;img src=x onerror=alert(1)&gt; ![x](http://evil.example) www.evil.example"
    assert titles(page)[0] == f"1. {written} (1999)"
    assert "&lt;b&gt;Action" in items(page)[0]
    page.button(key="rate").click().run()
    assert r"\!\[x\](http\://evil\.example)" in page.button(key="remove10").label
    assert any(f"near {written}, rated 5" in one for one in items(page))
