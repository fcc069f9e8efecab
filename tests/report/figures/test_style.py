"""mmctr_kit.report.figures.style: figures as SVG elements of a page."""

import re

from mmctr_kit.report.figures.style import COLOURS, canvas, colour, dashes, short, svg


def drawn(name: str) -> str:
    with canvas(1.0) as figure:
        figure.subplots().plot([0, 1], [0, 1.23456789], color=colour(0), marker="o", label="x")
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


def test_lines_beyond_the_colours_have_other_dashes() -> None:
    assert colour(len(COLOURS)) == colour(0)
    assert dashes(len(COLOURS)) != dashes(0)


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert short("din_demo") == "din_demo"
    cut = short("a-run_with.a-rather-long-name", 12)
    assert len(cut) == 12
    assert cut == "a-run_w…name"
