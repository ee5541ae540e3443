"""The report in a real browser, offline."""

import json
from pathlib import Path

from playwright.sync_api import sync_playwright


def test_report_opens_offline_and_draws_every_chart(small_run: tuple[Path, dict[str, str], str], chromium: str) -> None:
    report = Path(small_run[1]["REPORT"])
    numbers = json.loads(report.with_name("report.json").read_text())
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
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
        page.goto(report.as_uri())
        page.wait_for_selector(".chart svg")
        charts = page.locator(".chart")
        assert charts.count() >= 8
        page.wait_for_function(
            "document.querySelectorAll('.chart svg').length === document.querySelectorAll('.chart').length"
        )
        for place in range(charts.count()):
            box = charts.nth(place).locator("svg").first.bounding_box()
            assert box is not None
            assert box["width"] > 150
            assert box["height"] > 80
        table = page.locator("#methods").inner_text()
        for method in numbers["methods"]:
            assert f"{method['metrics']['ndcg@10']:.4f}" in table
        assert "This data is generated." in page.inner_text("body")
        browser.close()
    assert complaints == []
