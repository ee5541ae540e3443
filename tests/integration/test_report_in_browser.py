"""The pages in a real browser, offline."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from playwright.sync_api import Page, sync_playwright
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from small_artifacts_support import making
from tests_support import SmallRun

from evaluation.report.report import read_report, render
from storage.artifacts.store import ArtifactRef
from storage.tables import EVENTS_SCHEMA, items_table
from tasks.caching import artifact_store
from tasks.feature_report import FeatureReportParams, report_features


@contextmanager
def quiet_page(path: Path, chromium: str, **look: Any) -> Iterator[Page]:
    """The page with every chart drawn; neither a complaint in the console nor a request may have come of it."""
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(**look)
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None if request.url.startswith(("file:", "data:", "blob:")) else complaints.append(request.url)
            ),
        )
        page.goto(path.as_uri())
        page.wait_for_selector(".chart svg")
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        page.wait_for_function(
            "document.querySelectorAll('.chart svg').length === document.querySelectorAll('.chart').length"
        )
        charts = page.locator(".chart")
        for place in range(charts.count()):
            box = charts.nth(place).locator("svg").first.bounding_box()
            assert box is not None
            assert box["width"] > 150
            assert box["height"] > 60
        yield page
        browser.close()
    assert complaints == []


def test_report_opens_offline_and_draws_every_chart(small_run: SmallRun, chromium: str) -> None:
    path = Path(small_run.values["REPORT"])
    report = json.loads(path.with_name("report.json").read_text())
    assert path.stat().st_size < 6_000_000
    with quiet_page(path, chromium, viewport={"width": 1200, "height": 800}) as page:
        assert page.locator(".chart").count() >= 15
        too_wide = "found => found.filter(one => one.scrollWidth > one.clientWidth).map(one => one.id)"
        assert page.eval_on_selector_all(".chart", too_wide) == []
        table = page.locator("#methods-table-test-next-item").inner_text()
        for one in report["methods"]["results"]:
            if (one["split"], one["protocol"]) == ("test", "next-item"):
                assert f"{one['metrics']['ndcg@10']:.4f}" in table
        costs = page.locator("#methods-lists-test-next-item").inner_text()
        assert "training, with validation" in costs
        assert "one fit" in costs
        for one in report["methods"]["results"]:
            assert one["kind"] == "published" or one["cost"]["peak_mib"] is not None  # of policies by their manifest
        assert page.locator(".headline").inner_text() == report["verdict"]["headline"]
        assert "This data is generated." in page.inner_text("body")
        titles = {entry["title"] for one in report["examples"]["examples"] for entry in one["lists"][0]["entries"]}
        assert titles
        assert all(re.search(r"\(\d{4}\)", title) for title in titles)
        assert page.locator("#part-examples .example").count() == len(report["examples"]["examples"])
        links = page.locator(".contents a")
        for place in range(links.count()):
            target = links.nth(place).get_attribute("href")
            assert page.locator(target or "").count() == 1
        levels = page.eval_on_selector_all("h1, h2, h3, h4", "found => found.map(one => Number(one.tagName[1]))")
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels)), "a heading's level is left out"
        assert page.locator(".chart[aria-label]").count() == page.locator(".chart").count()
        ids = page.eval_on_selector_all("[id]", "found => found.map(one => one.id)")
        assert len(ids) == len(set(ids))


ATTACK = "<script>window.injected = 1</script><img src=x onerror='window.injected = 1'>"


def test_a_script_in_a_movie_title_does_not_run(small_run: SmallRun, chromium: str, tmp_path: Path) -> None:
    """Titles are escaped; and if they were not, the page's policy would stop the script."""
    path = Path(small_run.values["REPORT"])
    report = json.loads(path.with_name("report.json").read_text())
    title = report["examples"]["examples"][0]["lists"][0]["entries"][0]["title"]
    hostile = read_report(renamed(path.with_name("report.json"), title, ATTACK, tmp_path / "report.json"))
    page_file = tmp_path / "hostile.html"
    page_file.write_text(render(hostile))
    with quiet_page(page_file, chromium) as page:
        assert page.evaluate("window.injected") is None
        assert ATTACK in page.inner_text("body")
    unescaped = tmp_path / "unescaped.html"
    unescaped.write_text(path.read_text().replace("<main>", f"<main>{ATTACK}"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page, refused = browser.new_page(), []
        page.on("console", lambda message: refused.append(message.text))
        page.goto(unescaped.as_uri())
        page.wait_for_selector(".chart svg")
        assert page.evaluate("window.injected") is None
        assert page.evaluate("fetch('data:,x').then(() => 'sent', () => 'refused')") == "refused"
        assert sum("Content Security Policy" in text for text in refused) >= 3  # script, picture, request
        browser.close()


def renamed(path: Path, before: str, after: str, to: Path) -> Path:
    """A copy of a JSON file with one text replaced."""

    def replaced(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replaced(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [replaced(inner) for inner in value]
        return after if value == before else value

    to.write_text(json.dumps(replaced(json.loads(path.read_text()))))
    return to


def test_report_is_readable_in_the_dark_on_a_phone_and_on_paper(
    small_run: SmallRun, chromium: str, tmp_path: Path
) -> None:
    path = Path(small_run.values["REPORT"])
    for scheme, least in (("light", True), ("dark", False)):
        with quiet_page(path, chromium, color_scheme=scheme) as page:
            ground, ink = (
                page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color")
            )
            assert (brightness(ground) > brightness(ink)) is least
            assert abs(brightness(ground) - brightness(ink)) > 120
    with quiet_page(path, chromium, viewport={"width": 390, "height": 800}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    with quiet_page(path, chromium, color_scheme="dark") as page:
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = false; })")
        page.emulate_media(media="print")
        assert brightness(page.evaluate("getComputedStyle(document.body).color")) < 80
        assert not page.locator(".contents").is_visible()
        tables = (
            "[...document.querySelectorAll('details:not(.screen) table')]"
            ".filter((one) => !one.closest('.long')).map((one) => one.checkVisibility())"
        )
        assert not any(page.evaluate(tables))
        page.evaluate(f"addEventListener('beforeprint', () => {{ window.printed = {tables}; }})")
        page.pdf(path=tmp_path / "report.pdf")
        printed = page.evaluate("window.printed")
        assert len(printed) > 10
        assert all(printed), "what is folded on the screen is missing on paper"
        assert not any(page.evaluate(tables)), "it is folded again afterwards"
    assert (tmp_path / "report.pdf").stat().st_size > 50_000


def brightness(colour: str) -> float:
    """Of a CSS rgb() colour, 0 to 255."""
    return float(np.mean([float(part) for part in re.findall(r"[\d.]+", colour)[:3]]))


def artifact(kind: str, files: dict[str, pa.Table], facts: dict[str, object] | None = None) -> ArtifactRef:
    """An artifact with these tables, and facts as features.json."""
    with making(kind) as draft:
        for name, table in files.items():
            pq.write_table(table, draft.path / name)
        if facts is not None:
            (draft.path / "features.json").write_text(json.dumps(facts))
    return draft.committed


def test_feature_report_opens_offline_and_is_in_the_ui(prefect_here: None, chromium: str) -> None:
    items, rng = 60, np.random.default_rng(0)
    movies = pa.table(
        {
            "movie_id": np.arange(items) * 3,
            "external_id": [str(place) for place in range(items)],
            "tmdb_id": pa.nulls(items, pa.int64()),
            "imdb_id": pa.nulls(items, pa.string()),
            "title": [f"Book {place}" for place in range(items)],
            "year": pa.array([None if place % 7 == 0 else 1980 + place % 30 for place in range(items)], pa.int16()),
            "genres": [[["Poetry", "Travel"], ["Travel"], []][place % 3] for place in range(items)],
            "has_metadata": [True] * items,
        }
    )
    table = items_table(movies, rng.normal(size=(items, 8)).astype(np.float32), np.ones(items, bool))
    events = {
        "user_id": np.repeat(np.arange(90), 10),
        "movie_id": rng.integers(0, items - 5, 900) * 3,
        "rating": np.ones(900, np.float32),
        "timestamp": np.arange(900),
    }
    rated = pa.table(events, schema=EVENTS_SCHEMA)
    block = {"width": 8, "known_items": items, "weight": 1.0, "variance_share": 1.0, "kept_share": 0.9, "note": "words"}
    facts = {"blocks": {"text": block}, "explained_variance": 0.9, "explained_by_dimension": [0.2, 0.1] * 3}
    refs = (
        artifact("items", {"items.parquet": table}, facts),
        artifact("movies", {"movies.parquet": movies}),
        artifact("events", {"events.parquet": rated}),
    )
    path = artifact_store().open(report_features(*refs, FeatureReportParams(points=50))) / "features.html"
    keys = ArtifactFilter(key=ArtifactFilterKey(any_=["features", "embedding"]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=keys)
    (task_run,) = {one.task_run_id for one in found if path.as_uri() in (one.description or "")}
    shown = {one.key: one for one in found if one.task_run_id == task_run}
    assert json.loads(shown["features"].data)[0] == {"block": "text", "skipped": None} | block
    assert path.as_uri() in (shown["features"].description or "")
    assert str(shown["embedding"].data).startswith("data:image/png;base64,")
    with quiet_page(path, chromium) as page:
        assert page.locator(".chart").count() == 4
        assert page.locator("#neighbours .example").count() == 12
        assert "words" in page.locator("#blocks").inner_text()
        assert "5\nwithout ratings" in page.locator(".facts").inner_text()
        legend = page.locator("#chart-projection .role-legend-label").all_text_contents()
        assert legend == ["Poetry", "Travel", "other"]
        points = page.locator("#chart-projection .mark-symbol path[aria-roledescription=circle]")
        assert points.count() == 50
        assert "Book" in (points.first.get_attribute("aria-label") or "")
