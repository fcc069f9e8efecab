"""A rule is read as it is written, and a text that is none is refused."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mmctr_kit.datasets.imports.cells import matches
from mmctr_kit.datasets.imports.rules import Rule, parse_rule
from mmctr_kit.datasets.imports.sources import Source
from mmctr_kit.datasets.imports.tables import Batch


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("rating >= 4", Rule("rating", ">=", ("4",))),
        ("watch ratio<0.5", Rule("watch ratio", "<", ("0.5",))),
        ("event in [buy, 'add to cart']", Rule("event", "in", ("buy", "add to cart"))),
        ("event not in [view]", Rule("event", "not in", ("view",))),
        ("is_click == 1", Rule("is_click", "==", ("1",))),
        ('kind != "in stock"', Rule("kind", "!=", ("in stock",))),
    ],
)
def test_a_rule_is_a_column_an_operator_and_values(text: str, rule: Rule) -> None:
    assert parse_rule(text) == rule
    assert parse_rule(str(rule)) == rule


@pytest.mark.parametrize("operator", [">=", "<=", ">", "<", "==", "!=", "in", "not in"])
def test_a_complement_fits_what_the_rule_does_not(operator: str) -> None:
    rule = parse_rule(f"stars {operator} {'[4, 5]' if 'in' in operator else '4'}")
    log = Batch(Source(Path("log.csv")), 1, {"stars": pa.array(["3", "4", "4.5", "5"])})
    np.testing.assert_array_equal(matches(rule.complement(), log), ~matches(rule, log))
    assert rule.complement().complement() == rule


@pytest.mark.parametrize(
    ("text", "above"),
    [
        ("stars >= 4", True), ("stars > 3", True), ("stars == 5", True), ("stars in [4, 5]", True),
        ("stars >= 3", False), ("stars == 3", False), ("stars in [3, 5]", False),
        ("stars <= 5", False), ("stars != 1", False), ("stars == top", False), ("seen >= 4", False),
    ],
)  # fmt: skip
def test_a_rule_is_above_a_limit_that_nothing_it_fits_meets(text: str, above: bool) -> None:
    assert parse_rule(text).is_above(parse_rule("stars <= 3")) == above


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rating", "expected a rule"),
        (">= 4", "expected a rule"),
        ("event in buy", "a list"),
        ("event == [buy]", "a list"),
        ("rating >= high", "expected a number after >="),
    ],
)
def test_other_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_rule(text)
