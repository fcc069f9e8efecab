"""mmctr_kit.report.blocks: the parts of a page."""

import math

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import (
    Picture,
    Section,
    Table,
    enumeration,
    estimate_text,
    largest,
    sentence,
    which_shown,
)

PICTURE = Picture("name", "title", "caption", "<svg/>")


def test_only_a_section_of_one_picture_is_alone() -> None:
    assert Section("a", "A", "lead", [PICTURE]).alone
    assert not Section("a", "A", "lead", [PICTURE, PICTURE]).alone
    assert not Section("a", "A", "lead", [PICTURE], [Table("c", (), ())]).alone


def test_the_text_and_an_only_table_stand_beside_an_only_picture() -> None:
    table, folded = Table("c", (), ()), Table("c", (), (), folded="All")
    assert Section("a", "A", "lead", [PICTURE], [table]).beside
    for pictures, tables in (([PICTURE], []), ([PICTURE], [folded]), ([PICTURE] * 2, [table])):
        assert not Section("a", "A", "lead", pictures, tables).beside


def test_the_text_of_an_estimate() -> None:
    assert estimate_text(None) == "–"
    assert estimate_text(Estimate(0.01, 0.002, 9)) == "0.0100 ± 0.0020"
    assert estimate_text(Estimate(0.01, 0.002, 9), signed=True) == "+0.0100 ± 0.0020"
    assert estimate_text(Estimate(0.01, math.nan, 9)) == "0.0100 ± n/a"


def test_an_enumeration_says_how_many_it_leaves_out() -> None:
    assert enumeration(["a", "b"]) == "a, b"
    assert enumeration(["a", "b", "c", "d"], 2) == "a, b, and 2 more"


def test_a_sentence_has_one_capital_and_one_full_stop() -> None:
    for text in ("used mean, as asked", "used mean, as asked."):
        assert sentence(text) == "Used mean, as asked."


def test_the_largest_keep_their_order_and_a_figure_of_some_says_so() -> None:
    assert largest([3, -9, 5, 1], abs, 2) == [-9, 5]
    assert largest(["a", "b"], len) == ["a", "b"]
    assert which_shown(2, 2, "that took longest") == ""
    expected = " The 2 of 4 runs that took longest; the table has all."
    assert which_shown(2, 4, "that took longest") == expected
