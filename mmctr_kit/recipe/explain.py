"""A recipe's faults in the user's words: one phrase for each faulty key."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from mmctr_kit.errors import did_you_mean

Path = tuple[Any, ...]
"""The keys and list positions that lead to a value of the recipe."""

KeysAt = Callable[[Sequence[Any]], list[str]]
"""The keys that the block at a path may have."""

_EXPECTED: Mapping[str, str] = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text",
    "invalid_key": "a text as key",
    "tuple_type": "a list",
    "dict_type": "a block of keys",
    "mapping_type": "a block of keys",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "at least {min_length} in the list",
    "too_long": "at most {max_length} in the list",
    "string_pattern_mismatch": "letters, digits, dots, dashes, underscores",
}
"""What was expected, by pydantic's type of error; of other types its message is used."""


def label(value: Any) -> str:
    """A value as --set takes it; equal labels are equal values."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def explain_all(
    failure: ValidationError,
    content: Mapping[str, Any],
    above: Path,
    keys_at: KeysAt,
    without_model: bool = False,
) -> list[str]:
    """One phrase for each faulty value of ``content``; of nested ones only for the innermost.

    ``above`` is the path of the part that was validated.
    """
    errors: dict[Path, list[Any]] = {}
    for error in failure.errors():
        loc = _within(content, (*above, *error["loc"]))
        if not (without_model and loc[:1] == ("model",)):
            errors.setdefault(loc, []).append(error)
    deepest = [a for a in errors if not any(b[: len(a)] == a for b in errors if b != a)]
    return [_explain(loc, errors[loc], keys_at) for loc in deepest]


def _within(content: Any, loc: Path) -> Path:
    """``loc`` without the names of a union's members, which pydantic adds to a path."""
    for depth, part in enumerate(loc):
        if not isinstance(content, dict | list):
            return loc[:depth]
        if part not in (content if isinstance(content, dict) else range(len(content))):
            return loc
        content = content[part]
    return loc


def _explain(loc: Path, errors: Sequence[Any], keys_at: KeysAt) -> str:
    key = ".".join(str(part) for part in loc)
    kind, value = errors[0]["type"], errors[0]["input"]
    if kind == "extra_forbidden":
        return f"unknown key {key}{did_you_mean(str(loc[-1]), keys_at(loc[:-1]))}"
    if kind == "missing":
        return f"{key} is missing"
    if kind == "model_type":
        return f"{key} is a block of {', '.join(keys_at(loc))}; found {value!r}"
    if kind == "value_error":  # one of the kit's own
        message = str(errors[0]["ctx"]["error"])
        return message if message.startswith(key) else f"{key}: {message}"
    expected = ", or ".join(_expected(error) for error in errors)
    known = [choice for error in errors for choice in _choices(error)]
    hint = did_you_mean(str(value), known) if isinstance(value, str | int | float) else ""
    return f"{key}: expected {expected}; found {value!r}{hint}"


def _expected(error: Any) -> str:
    if choices := _choices(error):
        return f"{'one of ' if len(choices) > 1 else ''}{', '.join(choices)}"
    pattern = _EXPECTED.get(error["type"])
    if pattern is None:
        return str(error["msg"]).removeprefix("Input should be ")
    return pattern.format(**error.get("ctx", {}))


def _choices(error: Any) -> list[str]:
    """The values that a closed choice takes; empty if the error is of another type."""
    if error["type"] != "literal_error":
        return []
    text = str(error["ctx"]["expected"]).replace(" or ", ", ")
    return [choice.strip("'") for choice in text.split(", ")]
