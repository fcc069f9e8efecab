"""mmctr_kit.api.screen: names are text on the terminal, whatever is in them."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from mmctr_kit.api.screen import Screen
from mmctr_kit.errors import visible

HOSTILE = "a\x1b[2J\x9b31m\x7f\r\u202eb\u2028\x07\udcffc"
SHOWN = r"a\x1b[2J\x9b31m\x7f\x0dU+202EbU+2028\x07\xffc"


def printed(*things: object) -> str:
    file = io.StringIO()
    screen = Screen(file=file, width=200)
    for thing in things:
        screen.print(thing)
    return file.getvalue()


def test_what_a_terminal_would_obey_is_shown_as_code_points() -> None:
    assert visible(HOSTILE) == SHOWN
    assert printed(HOSTILE) == f"{SHOWN}\n"


def test_it_is_shown_in_tables_and_texts_too() -> None:
    table = Table(HOSTILE, box=None)
    table.add_row(HOSTILE)
    raw = printed(table, Text("x\x1b[31m\u202e"))
    assert "\x1b" not in raw
    assert "\u202e" not in raw
    assert r"x\x1b[31mU+202E" in raw


def test_the_screens_own_styles_are_not_touched() -> None:
    file = io.StringIO()
    screen = Screen(file=file, width=80)
    screen._force_terminal, screen._color_system = True, screen._color_system
    screen.print("x", style="bold")
    assert "\\x1b" not in file.getvalue()


def test_lines_of_a_table_end_without_blanks_unless_a_terminal_shows_them() -> None:
    table = Table("name", "value", box=None)
    table.add_row("a much longer name", "1")
    table.add_row("b", "two and more")
    lines = printed(table, "text  ").splitlines()
    assert len(lines) == 4
    assert not any(line.endswith(" ") for line in lines)
    file = io.StringIO()
    terminal = Screen(file=file, width=200)
    terminal._force_terminal = True
    terminal.print(table)
    assert any(line.endswith(" ") for line in file.getvalue().splitlines())


def test_codes_in_colons_are_no_emoji() -> None:
    assert printed("a :bug: b") == "a :bug: b\n"


@given(st.text())
def test_visible_text_holds_no_control_character_and_stays_as_it_is(text: str) -> None:
    shown = visible(text, one_line=True)
    assert visible(shown, one_line=True) == shown
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202e\u2066" for c in shown)
    shown.encode("utf-8")
