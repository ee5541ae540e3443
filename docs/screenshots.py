"""Make the pictures of the documentation: run the demo with a new Prefect server, take screenshots of its pages and of `marquee app`.

python docs/screenshots.py                          (needs chromium; takes as long as the demo)
MARQUEE_HOME=.marquee python docs/screenshots.py    (after `make demo`: seconds; the picture of the run then has cached steps)
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).parent / "images"


def free_port() -> int:
    """A free TCP port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(url: str) -> None:
    """Wait until the server answers."""
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            time.sleep(0.3)
        else:
            return
    raise TimeoutError(url)


def shoot_app(browser: Browser, published: str, env: Mapping[str, str]) -> None:
    """Take the screenshot of `marquee app` with a user who likes action."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    words = ["app", "--from", published, "--policy", "policy@latest", "--policy", "policy@td3", "--port", str(port)]
    app = subprocess.Popen([sys.executable, "-m", "flows.cli", *words], env=env, stdout=subprocess.DEVNULL)
    try:
        wait_for(url)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(url)
        page.get_by_role("combobox", name="Or an example user").fill("likes action")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Take").click()
        page.get_by_role("button", name="Remove all").wait_for()
        page.mouse.move(1270, 10)
        page.wait_for_timeout(3000)
        page.screenshot(path=IMAGES / "page.png")
    finally:
        app.terminate()
        app.wait(30)


def main() -> None:
    """Run the demo and take the screenshots."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("screenshots: expected chromium on the PATH; install it first.")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        base = f"http://127.0.0.1:{(port := free_port())}"
        env = os.environ | {
            "PREFECT_HOME": f"{folder}/prefect",
            "MARQUEE_HOME": str(Path(os.environ.get("MARQUEE_HOME", f"{folder}/marquee")).absolute()),
            "PREFECT_API_URL": f"{base}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
        }
        prefect = str(Path(sys.executable).with_name("prefect"))
        server = subprocess.Popen([prefect, "server", "start", "--port", str(port)], env=env, stdout=subprocess.DEVNULL)
        try:
            wait_for(f"{base}/api/health")
            done = subprocess.run(
                [sys.executable, "-m", "flows.cli", "retrain", *sys.argv[1:]],
                env=env,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            values = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
            run = next(word for word in done.stdout.split() if "/runs/flow-run/" in word)
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1280, "height": 860})
            page.goto(run)
            page.wait_for_timeout(8000)
            page.screenshot(path=IMAGES / "run.png")
            page.set_viewport_size({"width": 1120, "height": 1500})
            page.goto(Path(values["REPORT"]).as_uri())
            page.wait_for_selector(".chart svg")
            page.wait_for_timeout(2000)
            page.screenshot(path=IMAGES / "report.png")
            features = next(Path(env["MARQUEE_HOME"]).glob("artifacts/feature-report/*/features.html"))
            page.goto(features.as_uri())
            page.wait_for_selector(".chart svg")
            page.wait_for_timeout(2000)
            page.screenshot(path=IMAGES / "features.png")
            shoot_app(browser, values["PUBLISHED"], env)
            browser.close()
        finally:
            server.terminate()
            server.wait(30)


if __name__ == "__main__":
    main()
