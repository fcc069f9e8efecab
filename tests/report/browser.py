"""A headless Chromium that a test looks at a page with."""

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")


@contextmanager
def chromium() -> Iterator[Chrome]:
    """Its console and its requests are logged from the beginning."""
    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # Both named, so that selenium looks for neither on the network.
    driver = Chrome(options, Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def show(driver: Chrome, page: Path, width: int, dark: bool) -> None:
    """Open the page at a width in CSS pixels, as a phone does below 600."""
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    driver.get(page.resolve().as_uri())


def requests(driver: Chrome) -> list[str]:
    """The addresses that were asked for since this was last called."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = (e["params"]["request"]["url"] for e in events if e["method"].endswith("WillBeSent"))
    return [url for url in sent if not url.startswith("data:")]


def picture_of(driver: Chrome, element: WebElement) -> bytes:
    """The element as PNG, wherever on the page it is."""
    box = driver.execute_script(
        "const b = arguments[0].getBoundingClientRect();"
        "return {x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height, scale: 1};",
        element,
    )
    asked = {"captureBeyondViewport": True, "format": "png", "clip": box}
    found: dict[str, Any] = driver.execute_cdp_cmd("Page.captureScreenshot", asked)
    return base64.b64decode(found["data"])


def whole_page(driver: Chrome, scale: float) -> bytes:
    """The whole page as PNG, made smaller by ``scale``."""
    wide, high = driver.execute_script(
        "const e = document.documentElement; return [innerWidth, e.scrollHeight]"
    )
    clip = {"x": 0, "y": 0, "width": wide, "height": high, "scale": scale}
    asked = {"captureBeyondViewport": True, "format": "png", "clip": clip}
    found: dict[str, Any] = driver.execute_cdp_cmd("Page.captureScreenshot", asked)
    return base64.b64decode(found["data"])
