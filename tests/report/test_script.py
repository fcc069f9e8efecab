"""The page's script: sorting, filtering, copying, values under the pointer, the section in view."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.report import browser
from tests.report.conftest import KINDS
from tests.report.test_browser import DESK, PHONE

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

COLUMN = (
    "return [...arguments[0].tBodies[0].rows].map(r => r.cells[arguments[1]].textContent.trim())"
)
SHOWN = (
    "return [...arguments[0].tBodies[0].rows].filter(r => r.getClientRects().length).map("
    "r => r.cells[0].textContent.trim())"
)


@pytest.fixture
def page(driver: "Chrome", pages: Mapping[str, Path]) -> "Chrome":
    """The page of a run, open on a desk, with everything unfolded."""
    browser.show(driver, pages["run"], DESK, dark=False)
    driver.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    return driver


def table(page: "Chrome", section: str, number: int) -> Any:
    found = page.execute_script(
        "return document.querySelectorAll(`#${arguments[0]} table`)[arguments[1]]", section, number
    )
    assert found is not None
    return found


def press(page: "Chrome", where: Any, column: int) -> Any:
    return page.execute_script(
        "const head = arguments[0].tHead.rows[0].cells[arguments[1]];"
        "head.querySelector('button').click(); return head.getAttribute('aria-sort');",
        where,
        column,
    )


def test_a_click_on_a_column_sorts_numbers_from_the_highest_and_the_next_turns_it(
    page: "Chrome",
) -> None:
    slices = table(page, "slices", 1)

    def rows() -> list[int]:
        return [int(cell.replace(",", "")) for cell in page.execute_script(COLUMN, slices, 1)]

    before = rows()
    assert press(page, slices, 1) == "descending"
    assert rows() == sorted(before, reverse=True) != before
    assert press(page, slices, 1) == "ascending"
    assert rows() == sorted(before)


def test_text_is_sorted_from_its_beginning_and_what_has_no_value_comes_last(
    page: "Chrome",
) -> None:
    slices = table(page, "slices", 1)
    press(page, slices, 0)
    names = page.execute_script(COLUMN, slices, 0)
    assert names[0] < names[-1]
    page.execute_script("arguments[0].tBodies[0].rows[0].cells[1].textContent = '–'", slices)
    for _ in range(2):
        press(page, slices, 1)
        assert page.execute_script(COLUMN, slices, 1)[-1] == "–"


def test_numbers_with_signs_and_standard_errors_are_sorted_as_numbers(page: "Chrome") -> None:
    board = table(page, "importance", 1)
    press(page, board, 2)
    drops = [float(c.split()[0]) for c in page.execute_script(COLUMN, board, 2)]
    assert drops == sorted(drops, reverse=True)
    assert len(set(drops)) > 5


def test_a_filter_keeps_the_rows_with_all_its_words(page: "Chrome") -> None:
    slices = table(page, "slices", 1)
    every = page.execute_script(SHOWN, slices)
    field = page.execute_script(
        "return arguments[0].closest('.table').querySelector('.filter input')", slices
    )
    field.send_keys("OOF, history")
    some = page.execute_script(SHOWN, slices)
    assert 0 < len(some) < len(every)
    assert some == [name for name in every if "oof," in name and "history" in name]
    count = page.execute_script("return arguments[0].nextSibling.textContent", field)
    assert count == f"{len(some)} of {len(every)} rows"
    field.clear()
    field.send_keys(" ")
    assert page.execute_script(SHOWN, slices) == every


def test_a_short_table_has_no_filter(page: "Chrome") -> None:
    models = table(page, "models", 0)
    assert page.execute_script("return arguments[0].tBodies[0].rows.length", models) == 3
    assert (
        page.execute_script(
            "return arguments[0].closest('.table').querySelector('.filter')", models
        )
        is None
    )


def test_a_button_copies_the_command_and_nothing_else(page: "Chrome") -> None:
    copied, command, label = page.execute_async_script(
        "const done = arguments[0], texts = [];"
        "navigator.clipboard.writeText = async text => { texts.push(text); };"
        "const block = document.querySelector('.advice .code');"
        "block.querySelector('.copy').click();"
        "setTimeout(() => done([texts[0], block.querySelector('pre').textContent.trim(),"
        " block.querySelector('.copy').textContent]), 50);"
    )
    assert copied == command
    assert copied.startswith("mmctr-kit ")
    assert label == "Copied"


def test_the_value_of_a_point_is_shown_where_the_pointer_is(page: "Chrome") -> None:
    tip, number = page.execute_script(
        "const circles = document.querySelectorAll('#slices svg .hover circle');"
        "circles[0].scrollIntoView({block: 'center'});"
        "circles[0].dispatchEvent(new PointerEvent('pointerover', {bubbles: true}));"
        "const tip = document.querySelector('.tip'), b = tip.getBoundingClientRect();"
        "return [[tip.hidden, tip.textContent, b.left, b.right], circles.length]"
    )
    assert number > 5
    assert tip[0] is False
    assert "±" in tip[1]
    assert 0 <= tip[2] < tip[3] <= DESK
    assert page.execute_script(
        "document.body.dispatchEvent(new PointerEvent('pointerover', {bubbles: true}));"
        "return document.querySelector('.tip').hidden"
    )


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_contents_stay_in_sight_and_mark_the_section_that_is_read(
    driver: "Chrome", pages: Mapping[str, Path], width: int
) -> None:
    browser.show(driver, pages["run"], width, dark=False)
    seen = driver.execute_async_script(
        "const done = arguments[0];"
        "document.documentElement.style.scrollBehavior = 'auto';"
        "document.getElementById('slices').scrollIntoView();"
        "setTimeout(() => { const nav = document.querySelector('nav').getBoundingClientRect();"
        " const link = document.querySelector('nav a[aria-current]'), b ="
        " link.getBoundingClientRect(); done([nav.top, link.textContent, b.left, b.right]) }, 200);"
    )
    assert seen[0] == pytest.approx(0, abs=1)
    assert seen[1] == "Slices"
    assert 0 <= seen[2] < seen[3] <= width


@pytest.mark.parametrize("kind", KINDS)
def test_without_its_script_a_page_shows_everything_too(
    driver: "Chrome", pages: Mapping[str, Path], tmp_path: Path, kind: str
) -> None:
    text = pages[kind].read_text("utf-8")
    begin, end = text.index("<script>"), text.index("</script>")
    plain = tmp_path / "plain.html"
    plain.write_text(text[:begin] + text[end + len("</script>") :], "utf-8")
    content = (
        "document.querySelectorAll('.filter, .copy, .tip').forEach(e => e.remove());"
        "return [document.querySelector('main').innerText.replace(/\\s+/g, ' '),"
        " document.documentElement.scrollWidth, document.querySelectorAll('button').length];"
    )
    browser.show(driver, pages[kind], PHONE, dark=False)
    scripted, _, buttons = driver.execute_script(content)
    browser.show(driver, plain, PHONE, dark=False)
    bare, wide, none = driver.execute_script(content)
    assert bare == scripted
    assert wide <= PHONE
    assert buttons > 5
    assert none == 0
    titles = driver.execute_script("return document.querySelectorAll('.hover title').length")
    assert titles > 20  # which a browser shows by itself


def test_the_policy_lets_nothing_run_or_load_that_a_name_has_smuggled_into_the_page(
    driver: "Chrome", pages: Mapping[str, Path], tmp_path: Path
) -> None:
    planted = (
        '<p id="p" style="color: red" onclick="1">x</p><img src="x.png" onerror="window.ran = 1">'
        "<script>window.ran = 1</script>"
    )
    page = tmp_path / "page.html"
    page.write_text(pages["run"].read_text("utf-8").replace("<main>", f"<main>{planted}"), "utf-8")
    driver.get_log("browser")
    browser.show(driver, page, DESK, dark=False)
    refused = [entry["message"] for entry in driver.get_log("browser")]
    assert len(refused) >= 4
    assert all("Content Security Policy" in message for message in refused)
    assert driver.execute_script("return window.ran") is None
    assert driver.execute_script("return document.querySelectorAll('button').length") > 5
