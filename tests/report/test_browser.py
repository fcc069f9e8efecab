"""The four kinds of pages in a real browser: on a phone and on a desk, in light and in dark."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.report import browser
from tests.report.conftest import KINDS
from tests.report.test_page import FIGURES

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.slow

PHONE, DESK = 400, 1280

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

CELL = 16
"""Pixels of a side of the squares in which a page is looked at for empty areas."""
MOST_EMPTY = {PHONE: 45_000, DESK: 250_000}
"""Square pixels of the largest rectangle without anything in it, beside the page's margins: on a
phone a third of the screen's width on a third of its height, on a desk a quarter of the screen."""


class Shown:
    """A page, open in the browser at a width and in a scheme."""

    def __init__(self, driver: "Chrome", kind: str, width: int, dark: bool) -> None:
        self.driver, self.kind, self.width, self.dark = driver, kind, width, dark

    def ask(self, script: str) -> Any:
        return self.driver.execute_script(script)


@pytest.fixture(
    scope="module",
    params=[(k, w, d) for k in KINDS for w in (PHONE, DESK) for d in (False, True)],
    ids=lambda p: f"{p[0]}, {p[1]} px, {'dark' if p[2] else 'light'}",
)
def shown(request: pytest.FixtureRequest, driver: "Chrome", pages: Mapping[str, Path]) -> Shown:
    kind, width, dark = request.param
    browser.requests(driver)
    driver.get_log("browser")
    browser.show(driver, pages[kind], width, dark)
    return Shown(driver, kind, width, dark)


def test_the_page_is_as_wide_as_asked_and_dark_if_asked(shown: Shown) -> None:
    assert shown.ask("return innerWidth") == shown.width
    colour = shown.ask("return getComputedStyle(document.body).backgroundColor")
    light = sum(int(v) for v in colour[4:-1].split(","))
    assert light < 100 if shown.dark else light > 700


def test_the_console_has_no_error_and_nothing_but_the_file_is_asked_for(
    shown: Shown, pages: Mapping[str, Path]
) -> None:
    assert browser.requests(shown.driver) == [pages[shown.kind].resolve().as_uri()]
    assert shown.driver.get_log("browser") == []


def test_every_figure_is_there_and_drawn(shown: Shown) -> None:
    sizes = {name: rest for name, *rest in shown.ask(FIGURE_SIZES)}
    if shown.kind == "blend":
        assert set(sizes) >= FIGURES
    assert len(sizes) > 8
    for name, (width, height, shapes) in sizes.items():
        assert width > 250, name
        assert height > 60, name
        assert shapes > 8, name


def test_the_page_is_no_wider_than_the_screen(shown: Shown) -> None:
    wide, screen = shown.ask(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= screen


def test_every_text_stands_out_from_what_is_behind_it(shown: Shown) -> None:
    found = shown.ask(CONTRASTS)
    assert len(found) > 200
    assert [f for f in found if f[0] < 4.5] == []


def test_text_in_figures_is_large_enough_to_read(shown: Shown) -> None:
    assert shown.ask(SMALLEST_TEXT) >= 11.0


def test_text_in_figures_is_not_cut_at_their_edges(shown: Shown) -> None:
    assert shown.ask(CUT_TEXT) == []


def test_no_large_area_is_empty(shown: Shown) -> None:
    if shown.dark:
        return  # what is where does not depend on the colours
    image = Image.open(io.BytesIO(browser.whole_page(shown.driver, 0.25))).convert("L")
    pixels = np.asarray(image, np.int16)
    paper = int(np.bincount(pixels.ravel().astype(np.int64)).argmax())
    side = CELL // 4  # the picture is a quarter of the page's size
    high, wide = (n // side for n in pixels.shape)
    cells = pixels[: high * side, : wide * side].reshape(high, side, wide, side)
    margin = 1 if shown.width == PHONE else 2
    empty = (abs(cells - paper) < 3).all(axis=(1, 3))[:, margin:-margin]
    area, box = largest_rectangle(empty)
    assert area * CELL**2 <= MOST_EMPTY[shown.width], [n * CELL for n in box]


def largest_rectangle(empty: NDArray[np.bool_]) -> tuple[int, tuple[int, int, int, int]]:
    """The cells of the largest rectangle of True, and its left, top, width and height."""
    best, box = 0, (0, 0, 0, 0)
    above = np.zeros(empty.shape[1] + 1, np.int64)
    for y, row in enumerate(empty):
        above[:-1] = np.where(row, above[:-1] + 1, 0)
        open_bars: list[tuple[int, int]] = []  # where a bar begins, and how high it is
        for x, height in enumerate(above.tolist()):
            begin = x
            while open_bars and open_bars[-1][1] >= height:
                begin, high = open_bars.pop()
                if high * (x - begin) > best:
                    best, box = high * (x - begin), (begin, y + 1 - high, x - begin, high)
            open_bars.append((begin, height))
    return best, box


def test_the_largest_empty_rectangle_is_found() -> None:
    grid = np.zeros((6, 8), np.bool_)
    grid[1:4, 2:7] = True
    grid[5] = True
    assert largest_rectangle(grid) == (15, (2, 1, 5, 3))
    assert largest_rectangle(~np.zeros((2, 3), np.bool_)) == (6, (0, 0, 3, 2))


def test_the_slices_table_is_folded_and_its_strongest_rows_are_not(
    driver: "Chrome", pages: Mapping[str, Path]
) -> None:
    browser.show(driver, pages["run"], DESK, dark=False)
    seen, folded = driver.execute_script(
        "const s = document.getElementById('slices');"
        "return [[...s.querySelectorAll('.blocks > .table tbody tr')].length,"
        " [...s.querySelectorAll('details:not([open]) tbody tr')].length];"
    )
    assert seen == 6
    assert folded > 12


def test_a_wide_table_scrolls_inside_its_own_box_on_a_phone(
    driver: "Chrome", pages: Mapping[str, Path]
) -> None:
    browser.show(driver, pages["blend"], PHONE, dark=False)
    boxes = driver.execute_script(
        "return [...document.querySelectorAll('.scroll')].map(b => [b.scrollWidth, b.clientWidth])"
    )
    assert any(inner > outer for inner, outer in boxes)
    assert all(outer <= PHONE for _, outer in boxes)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_table_that_goes_on_beyond_the_edge_has_a_shadow_there_until_its_end(
    driver: "Chrome", pages: Mapping[str, Path], dark: bool
) -> None:
    browser.show(driver, pages["blend"], PHONE, dark)
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
