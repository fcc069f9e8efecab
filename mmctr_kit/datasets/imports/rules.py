"""Rules of a SPEC, such as ``rating >= 4`` or ``event in [buy, cart]``, on columns of text."""

import re
from dataclasses import dataclass

_RULE = re.compile(r"^\s*(.+?)\s*(>=|<=|==|!=|>|<|\bnot in\b|\bin\b)\s*(.+?)\s*$")
_EXAMPLES = "'rating >= 4' or 'event in [buy, cart]'"
ORDERED = (">=", "<=", ">", "<")
_OPPOSITES = {">=": "<", "<=": ">", "==": "!=", "in": "not in"}
_OPPOSITES |= {opposite: operator for operator, opposite in _OPPOSITES.items()}


@dataclass(frozen=True)
class Rule:
    """A comparison of a column with a number or with texts.

    ``operator`` is one of >=, <=, >, < (the one value of ``values`` is a number), ==, !=, in,
    not in.
    """

    column: str
    operator: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        shown = f"[{', '.join(self.values)}]" if "in" in self.operator else self.values[0]
        return f"{self.column} {self.operator} {shown}"

    def complement(self) -> "Rule":
        """The rule that fits what this one does not."""
        return Rule(self.column, _OPPOSITES[self.operator], self.values)

    def is_above(self, limit: "Rule") -> bool:
        """Whether nothing that fits this rule fits ``limit``, which is COLUMN <= NUMBER."""
        if self.column != limit.column or self.operator not in (">=", ">", "==", "in"):
            return False
        try:
            lowest, top = min(map(float, self.values)), float(limit.values[0])
        except ValueError:
            return False
        return lowest > top or (lowest == top and self.operator == ">")


def parse_rule(text: str) -> Rule:
    """The rule of a text; ValueError if it is none.

    >>> parse_rule("event in [buy, cart]")
    Rule(column='event', operator='in', values=('buy', 'cart'))
    """
    match = _RULE.match(text)
    if match is None:
        raise ValueError(f"expected a rule, like {_EXAMPLES}; found {text!r}")
    column, operator, value = match.groups()
    listed = value.startswith("[") and value.endswith("]")
    if ("in" in operator) != listed:
        raise ValueError(
            f"expected a list in brackets after in, a value after others; found {text!r}"
        )
    values = [v.strip().strip("'\"") for v in value.strip("[]").split(",")] if listed else [value]
    if operator in ORDERED:
        try:
            float(value)
        except ValueError as e:
            raise ValueError(f"expected a number after {operator}; found {text!r}") from e
    return Rule(column, operator, tuple(v.strip("'\"") for v in values))
