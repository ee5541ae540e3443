"""`marquee app` as a process, used with the keyboard in a real browser, which reaches nothing but the page's own port."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from tests_support import REPOSITORY, SmallRun, free_port, wait_for

expect.set_options(timeout=60_000)
LISTED = "[data-testid=stHtml] strong"
WIDER = "[...document.querySelectorAll('*')].filter((one) => one.scrollWidth > innerWidth).length"


@pytest.fixture
def app(small_run: SmallRun, tmp_path: Path) -> Iterator[str]:
    """The URL of the page, by the command at the end of the small run."""
    port = free_port()
    _, *words = small_run.command("To rate movies and compare policies on a page:")
    words += ["--from", small_run.values["PUBLISHED"], "--port", str(port)]
    variables = os.environ | {"MARQUEE_HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-m", "flows.cli", *words], env=variables) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def test_a_movie_is_found_and_rated_by_keyboard_and_the_lists_change(app: str, chromium: str) -> None:
    complaints: list[str] = []
    own = (app, app.replace("http:", "ws:"), "data:", "blob:")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda one: complaints.append(one.text) if one.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda one: None if one.url.startswith(own) else complaints.append(one.url))
        page.on("websocket", lambda one: None if one.url.startswith(own) else complaints.append(one.url))
        page.goto(app)
        search = page.get_by_role("textbox", name="Search a movie")
        expect(page.locator(LISTED)).to_have_count(20)
        expect(page.get_by_text("Ordered by popularity, because there are no ratings.")).to_have_count(2)
        methods = [page.get_by_role("combobox", name=f"Method on the {side}") for side in ("left", "right")]
        expect(methods[0]).to_have_value("policy@latest")
        expect(methods[1]).to_have_value(re.compile("policy@(ranking|td3_bc|iql)"))
        wanted = page.locator(LISTED).nth(2).inner_text().removeprefix("3. ")
        search.press_sequentially(wanted.partition(" (")[0])
        search.press("Enter")
        expect(page.get_by_role("combobox", name="Movie")).to_have_value(wanted)
        go_to(page, "Rate")
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name=f"✕ 5 · {wanted}")).to_be_visible()
        expect(page.get_by_text(f"near {wanted.partition(' (')[0]}, rated 5").first).to_be_visible()
        expect(page.locator(LISTED).filter(has_text=wanted)).to_have_count(0)
        expect(page.locator(LISTED)).to_have_count(20)
        listed = page.locator(LISTED).all_inner_texts()
        page.get_by_role("slider", name="Weight of the critics").press("End")
        page.wait_for_function(
            "([where, before]) => [...document.querySelectorAll(where)].map((one) => one.innerText).join() !== before",
            arg=[LISTED, ",".join(listed)],
        )
        page.locator("canvas, .vega-embed svg").first.wait_for()
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 844})
            expect(search).to_be_visible()
            page.wait_for_function(f"{WIDER} === 0")
        browser.close()
    assert complaints == []


def go_to(page: Page, button: str) -> None:
    """Press Tab until a button has the focus."""
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText") == button:
            return
    raise AssertionError(f"Tab does not reach {button}")
