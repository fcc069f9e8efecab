"""A report in a real browser, headless Chromium: on a phone and on a desk, in light and in dark."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from mmctr_kit.report.context import open_context
from mmctr_kit.report.page import write_report
from tests.report import browser
from tests.report.test_page import FIGURES

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.skipif(
    not (browser.CHROMIUM and browser.DRIVER),
    reason="no chromium and chromedriver here (Debian: apt-get install chromium-driver)",
)
PHONE, DESK = 390, 1280

CONTRASTS = """
const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
function rgb(colour) {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return {r, g, b, a: a / 255};
}
function lightness({r, g, b}) {
  const [x, y, z] = [r, g, b].map(v => {
    v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
}
function behind(element) {
  for (let e = element; e; e = e.parentElement) {
    const colour = rgb(getComputedStyle(e).backgroundColor);
    if (colour.a === 1) return colour;
  }
  return {r: 255, g: 255, b: 255};
}
const found = [];
for (const e of document.querySelectorAll("body *")) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.getClientRects().length || ["title", "desc"].includes(e.tagName)) continue;
  const style = getComputedStyle(e);
  const text = rgb(e instanceof SVGElement ? style.fill : style.color);
  const [a, b] = [lightness(text), lightness(behind(e))].sort((x, y) => y - x);
  found.push([(a + 0.05) / (b + 0.05), e.tagName, e.textContent.trim().slice(0, 30)]);
}
return found;
"""
"""Of every text on the page, its contrast to what is behind it (WCAG 2.2, 1.4.3)."""

FIGURE_SIZES = """
return [...document.querySelectorAll("svg[role=img]")].map(svg => {
  const box = svg.getBoundingClientRect();
  const shapes = [...svg.querySelectorAll("path, rect, text, use")].filter(e => {
    const b = e.getBoundingClientRect();
    return b.width + b.height > 0 && getComputedStyle(e).visibility === "visible";
  });
  return [svg.getAttribute("aria-labelledby").split("-title")[0], box.width, box.height,
          shapes.length];
});
"""

SMALLEST_TEXT = """
return Math.min(...[...document.querySelectorAll("svg text")].map(t =>
  parseFloat(getComputedStyle(t).fontSize) * t.getScreenCTM().a || 99));
"""


CUT_TEXT = """
return [...document.querySelectorAll("svg[role=img]")].flatMap(svg => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter(t => {
    const b = t.getBoundingClientRect();
    return b.right > box.right + 2 || b.left < box.left - 2;
  }).map(t => [svg.getAttribute("aria-labelledby"), t.textContent]);
});
"""

USED_WIDTHS = """
return [...document.querySelectorAll(".blocks")].filter(p => p.querySelector("table")).map(p => {
  const box = p.getBoundingClientRect();
  const inside = [...p.children].map(c => c.getBoundingClientRect().right);
  return [p.parentElement.id, (Math.max(...inside) - box.left) / box.width];
});
"""
"""Of each section with a table, the share of the width that its parts reach across."""


@pytest.fixture(scope="module")
def page(made_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("browser") / "mix.html"
    write_report(open_context("mix", made_runs, out.parent / "submissions"), out)
    return out


@pytest.fixture(scope="module")
def driver() -> Iterator["Chrome"]:
    with browser.chromium() as started:
        yield started


@pytest.fixture(
    params=[(w, d) for w in (PHONE, DESK) for d in (False, True)],
    ids=lambda p: f"{p[0]} px, {'dark' if p[1] else 'light'}",
)
def shown(request: pytest.FixtureRequest, driver: "Chrome", page: Path) -> "Chrome":
    """The page, open at a width and in a scheme."""
    width, dark = request.param
    browser.show(driver, page, width, dark)
    assert driver.execute_script("return innerWidth") == width
    scheme = "dark" if dark else "light"
    assert driver.execute_script(f"return matchMedia('(prefers-color-scheme: {scheme})').matches")
    return driver


def test_the_console_has_no_error_and_nothing_but_the_file_is_asked_for(
    driver: "Chrome", page: Path
) -> None:
    browser.requests(driver)
    browser.show(driver, page, DESK, dark=False)
    assert browser.requests(driver) == [page.resolve().as_uri()]
    assert driver.get_log("browser") == []


def test_every_figure_is_there_and_drawn(shown: "Chrome") -> None:
    sizes = {name: rest for name, *rest in shown.execute_script(FIGURE_SIZES)}
    assert set(sizes) >= FIGURES
    for name, (width, height, shapes) in sizes.items():
        assert width > 250, name
        assert height > 60, name
        assert shapes > 8, name


def test_the_page_is_no_wider_than_the_screen(shown: "Chrome") -> None:
    wide, screen = shown.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= screen


def test_every_text_stands_out_from_what_is_behind_it(shown: "Chrome") -> None:
    found = shown.execute_script(CONTRASTS)
    assert len(found) > 300
    assert [f for f in found if f[0] < 4.5] == []


def test_text_in_figures_is_large_enough_to_read(shown: "Chrome") -> None:
    assert shown.execute_script(SMALLEST_TEXT) >= 11.0


def test_text_in_figures_is_not_cut_at_their_edges(shown: "Chrome") -> None:
    assert shown.execute_script(CUT_TEXT) == []


def test_on_a_desk_figures_notes_and_tables_use_the_width(driver: "Chrome", page: Path) -> None:
    browser.show(driver, page, DESK, dark=False)
    shares = driver.execute_script(USED_WIDTHS)
    assert len(shares) > 5
    assert [s for s in shares if s[1] < 0.85] == []


def test_the_slices_table_is_folded_and_its_strongest_rows_are_not(
    driver: "Chrome", page: Path
) -> None:
    browser.show(driver, page, DESK, dark=False)
    seen, folded = driver.execute_script(
        "const s = document.getElementById('slices');"
        "return [[...s.querySelectorAll('.blocks > .scroll tbody tr')].length,"
        " [...s.querySelectorAll('details:not([open]) tbody tr')].length];"
    )
    assert seen == 6
    assert folded > 12


def test_dark_is_dark_and_light_is_light(driver: "Chrome", page: Path) -> None:
    def paper(dark: bool) -> int:
        browser.show(driver, page, DESK, dark)
        colour = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        return sum(int(v) for v in re.findall(r"\d+", colour)[:3])

    assert paper(dark=False) > 700
    assert paper(dark=True) < 100


def test_a_wide_table_scrolls_inside_its_own_box_on_a_phone(driver: "Chrome", page: Path) -> None:
    browser.show(driver, page, PHONE, dark=False)
    boxes = driver.execute_script(
        "return [...document.querySelectorAll('.scroll')].map(b => [b.scrollWidth, b.clientWidth])"
    )
    assert any(inner > outer for inner, outer in boxes)
    assert all(outer <= PHONE for _, outer in boxes)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_table_that_goes_on_beyond_the_edge_has_a_shadow_there_until_its_end(
    driver: "Chrome", page: Path, dark: bool
) -> None:
    browser.show(driver, page, PHONE, dark)
    wide = driver.execute_script(
        "const b = [...document.querySelectorAll('.scroll')].find(b =>"
        " b.scrollWidth > b.clientWidth); return b;"
    )

    def edge_and_middle() -> tuple[int, int]:
        """Lightness at the right edge, between the lines, and of the paper."""
        shot = Image.open(io.BytesIO(browser.picture_of(driver, wide))).convert("L")
        width, height = shot.size
        column = sorted(shot.getpixel((width - 2, y)) for y in range(height))
        return column[height // 2], shot.getpixel((width // 2, 1))

    edge, paper = edge_and_middle()
    assert abs(edge - paper) > 40
    driver.execute_script("arguments[0].scrollLeft = 9999", wide)
    edge, paper = edge_and_middle()
    assert abs(edge - paper) < 8
