"""The bar: names are wrapped and never cut, paths shorten in the middle, figures fit 60 columns."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mmctr_kit.api.bar import Bar, clock, shorten_path, shorten_paths

LONG = "din_target_encoder_with_a_long_name fold 12 seed 3: epoch 17/20, predicting held-out rows"


def drawn(width: int, *shown: tuple[str, float, float, float]) -> list[str]:
    """The lines of a bar on a terminal of this width after these updates."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    bar = Bar(console)
    bar.begin("", 0.0, 10.0)
    for label, rate, done, total in shown:
        bar.show(label, rate, done, total)
    plain = Console(file=io.StringIO(), width=width)
    with plain.capture() as caught:
        plain.print(bar.get_renderable())
    return caught.get().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_name_is_wrapped_and_never_cut_and_no_figure_is_lost(width: int) -> None:
    lines = drawn(width, ("x", 0.0, 0.1, 10.0), (LONG, 1_234_567.0, 4.3, 10.0))
    assert max(map(len, lines)) <= width
    words = "".join(lines).replace(" ", "")
    assert LONG.replace(" ", "") in words
    assert "43%" in lines[-1]
    assert "1,234,567 rows/s" in lines[-1]
    assert re.search(r"\d:\d\d:\d\d", lines[-1])
    assert "…" not in words


def test_what_has_no_end_shows_no_share() -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True)
    bar = Bar(console)
    bar.show("loading DATA", 0.0)
    with console.capture() as caught:
        console.print(bar.get_renderable())
    assert "loading DATA" in caught.get()
    assert "%" not in caught.get()


@given(st.text("abc/._-", min_size=0, max_size=200), st.integers(5, 80))
def test_a_shortened_path_fits_and_keeps_its_ends(path: str, width: int) -> None:
    short = shorten_path(path, width)
    assert len(short) <= max(width, 0)
    if len(path) <= width:
        assert short == path
    else:
        assert len(short) == width
        # The dots may stand beside dots of the path, so every place is tried.
        assert any(
            short[place : place + 3] == "..."
            and path.startswith(short[:place])
            and path.endswith(short[place + 3 :])
            for place in range(width - 3)
        )


def test_a_text_loses_the_middle_of_its_longest_path_alone() -> None:
    path = "/home/somebody/projects/ctr/data/downloads/2025/MicroLens/unzipped/again"
    text = f"loading {path} and a/b"
    short = shorten_paths(text, 60)
    assert len(short) <= 60
    assert short.startswith("loading /home/")
    assert short.endswith("again and a/b")
    assert shorten_paths(text, 200) == text
    assert shorten_paths(LONG, 40) == LONG


def test_a_clock_shows_hours() -> None:
    assert [clock(s) for s in (0.4, 61, 36_000 + 125)] == ["0:00:00", "0:01:01", "10:02:05"]


def test_a_terminal_without_other_signs_gets_ascii() -> None:
    raw = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    console = Console(file=raw, width=60, force_terminal=True)
    bar = Bar(console)
    bar.begin("training", 1.0, 2.0)
    with console.capture() as caught:
        console.print(bar.get_renderable())
    assert caught.get().isascii()
