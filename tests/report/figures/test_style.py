"""mmctr_kit.report.figures.style: figures as SVG elements of a page."""

import re

import numpy as np
import pytest

from mmctr_kit.report.figures.style import (
    COLOURS,
    DASHES,
    canvas,
    colour,
    dashes,
    hover,
    shade,
    short,
    svg,
)


def drawn(name: str) -> str:
    with canvas(1.0) as figure:
        figure.subplots().plot(
            [0, 1], [0, 1.23456789], color=colour("valid"), marker="o", label="x"
        )
    return svg(figure, name, "A title & more", "0.5 < 0.7")


def test_two_figures_share_no_id_and_refer_to_their_own() -> None:
    one, two = drawn("one"), drawn("two")
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (one, two)]
    assert not ids[0] & ids[1]
    for text, own in ((one, ids[0]), (two, ids[1])):
        assert set(re.findall(r'(?:href="#|url\(#)([\w-]+)', text)) <= own


def test_title_and_description_are_escaped_and_read_out() -> None:
    text = drawn("one")
    assert '<title id="one-title">A title &amp; more</title>' in text
    assert '<desc id="one-text">0.5 &lt; 0.7</desc>' in text


def test_colours_are_the_pages_variables_and_digits_are_few() -> None:
    text = drawn("one")
    assert "var(--c1)" in text
    assert not re.search(r"#[0-9a-f]{6}", text)
    assert not re.search(r' d="[^"]*\.\d{4}', text)


def test_a_colour_stands_for_one_thing_and_what_has_no_meaning_has_no_colour() -> None:
    assert colour("OOF (fold models)") == colour("OOF, mean of folds: 0.7") == colour("OOF")
    meanings = ("valid", "OOF", "test", "positives", "negatives", "fold", "amount", "bad")
    assert len({colour(meaning) for meaning in meanings}) == len(meanings) == len(COLOURS)
    with pytest.raises(ValueError, match="not in tuple"):
        colour("something new")


def test_lines_of_one_colour_differ_in_their_dashes_and_shades() -> None:
    assert len({str(dashes(number)) for number in range(len(DASHES))}) == len(DASHES)
    assert dashes(len(DASHES)) == dashes(0)
    shades = [shade(number, 4) for number in range(4)]
    assert shades == sorted(shades, reverse=True)
    assert (shades[0], shade(0, 1)) == (1.0, 1.0)
    assert shades[-1] > 0.2


def test_a_point_has_a_text_under_the_pointer_and_nothing_to_see() -> None:
    with canvas(1.0) as figure:
        axes = figure.subplots()
        hover(axes, [0.2, np.nan, 0.8], [1, 2, 2], ["first & best", "nowhere", "a|b"])
        hover(axes, [], [], [])
    text = svg(figure, "one", "title", "0.5")
    circles = re.findall(r'<circle cx="[\d.]+" cy="[\d.]+" r="7"><title>([^<]+)</title>', text)
    assert circles == ["first &amp; best", "a/b"]
    assert '<g class="hover">' in text
    assert "hover|" not in text


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert short("din_demo") == "din_demo"
    cut = short("a-run_with.a-rather-long-name", 12)
    assert len(cut) == 12
    assert cut == "a-run_w…name"
