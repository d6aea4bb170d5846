"""Draw the pictures of README.md from a finished demo: `make pictures`. Needs Chromium and its driver."""

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
from selenium import webdriver

from salt.report import front_page
from salt.runtime import program
from salt.runtime.paths import Run

FOLDER = Path(__file__).parent
SCALE = 1.5  # pixels of a picture for each CSS px of the browser's window


def main(argv: list[str] | None = None) -> None:
    """Draw rounds.webp, and the first screen of the report as report.webp."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the results of a run on a synthetic survey")
    run = Run(parser.parse_args(argv).run)
    browser = open_browser()
    try:
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder, "page.html")
            page.write_text(front_page.page(run), encoding="utf-8")
            shoot(browser, page, FOLDER / "rounds.webp", 1180)
        shoot(browser, run.report, FOLDER / "report.webp", 960, 860)
    finally:
        browser.quit()


def open_browser() -> webdriver.Chrome:
    """Chromium without a window, in the light scheme."""
    options = webdriver.ChromeOptions()
    for switch in ("headless=new", "no-sandbox", "disable-gpu", "hide-scrollbars"):
        options.add_argument(f"--{switch}")
    return webdriver.Chrome(options)


def shoot(browser: webdriver.Chrome, page: Path, picture: Path, width: int, height: int | None = None) -> None:
    """Write the top of a page as a picture; width, height: CSS px, None for the whole page."""
    browser.get(page.resolve().as_uri())
    screen = {"width": width, "height": height or 1, "deviceScaleFactor": SCALE, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    if height is None:
        screen["height"] = browser.execute_script("return document.documentElement.scrollHeight")
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    pixels = cv2.imdecode(np.frombuffer(browser.get_screenshot_as_png(), np.uint8), cv2.IMREAD_COLOR)
    cv2.imwrite(str(picture), pixels, [cv2.IMWRITE_WEBP_QUALITY, 85])


if __name__ == "__main__":
    program.run(main)
