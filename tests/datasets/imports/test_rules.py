"""A rule is read as it is written, and a text that is none is refused."""

import pytest

from mmctr_kit.datasets.imports.rules import Rule, parse_rule


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
