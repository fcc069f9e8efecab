"""Reads YAML files with a closed set of keys, sets keys in them, and says what is wrong."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmctr_kit.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import yaml
    from pydantic import ValidationError


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The keys of the YAML file ``path``, a ``what``; a UsageError if it holds something else."""
    from mmctr_kit.files import regular  # NumPy, which the names of recipes do without

    try:
        content = parse_yaml(regular(path).read_text("utf-8"))
    except (ValueError, OSError) as e:
        binary = isinstance(e, UnicodeDecodeError)
        why = "it is no text in UTF-8" if binary else " ".join(str(e).split())
        raise UsageError(f"{path}: not readable YAML ({why})") from e
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else label(content)
        found = "nothing" if content is None else kind
        raise UsageError(f"{path}: expected a block of {what} keys, found {found}")
    return content


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; ValueError if it is none, or gives a key twice.

    YAML itself would silently use the last of two keys, and take 1e-5, a number without a point,
    as text.
    """
    import yaml

    try:
        value = _load(text)
        _require_moderate(value, {}, 0)
        return value
    except yaml.MarkedYAMLError as e:
        at = e.problem_mark
        place = "" if at is None else f"line {at.line + 1}, column {at.column + 1}: "
        raise ValueError(f"{place}{e.problem}") from e
    except yaml.YAMLError as e:
        raise ValueError(" ".join(str(e).split())) from e


_DEEPEST, _MOST = 50, 100_000
"""How deep values may be nested, and how many there may be, each alias (``*name``) counted anew."""
_TOO_DEEP = f"blocks and lists nested more than {_DEEPEST} deep"
_LIBYAML_DEEPEST = 1_000
"""libyaml, which reads eight times as fast as Python, ends the process on nesting without end."""
_DIFFERS = re.compile(r"[^\n -~]|[!?%|>]")
"""In a text with one of these, libyaml takes some of what Python refuses, or as another value."""


def _load(text: str) -> Any:
    """The value of a YAML text, by libyaml if that can be; what is wrong is said without it."""
    import yaml

    in_python, in_c = _yaml_loaders()
    # Each level of a block begins further to the right, but for a list's below a key.
    deepest = text.count("[") + text.count("{") + 2 * (1 + max(map(len, [*text.splitlines(), ""])))
    if in_c is not None and deepest < _LIBYAML_DEEPEST and not _DIFFERS.search(text):
        # Its messages have other words, and it does not take half of an emoji, from --set, as text.
        with suppress(yaml.YAMLError, UnicodeError):
            return yaml.load(text, in_c)
    return yaml.load(text, in_python)


def _require_moderate(value: Any, known: dict[int, tuple[int, int]], depth: int) -> tuple[int, int]:
    """How many values are in ``value`` and how deep; ValueError if too many, or deep without end.

    ``known`` has both of each block and list by its id, zeros while they are counted.
    """
    if not isinstance(value, dict | list):
        return 1, 0
    if depth > _DEEPEST:
        raise ValueError(_TOO_DEEP)
    if known.get(id(value)) == (0, 0):
        raise ValueError("an alias stands for a block or list that it is in")
    if id(value) not in known:
        known[id(value)] = (0, 0)
        inner = value.values() if isinstance(value, dict) else value
        each = [_require_moderate(v, known, depth + 1) for v in inner]
        known[id(value)] = 1 + sum(n for n, _ in each), 1 + max((d for _, d in each), default=0)
    count, deep = known[id(value)]
    if depth + deep > _DEEPEST:
        raise ValueError(_TOO_DEEP)
    if count > _MOST:
        raise ValueError(f"more than {_MOST:,} values")
    return count, deep


def apply_setting(content: dict[str, Any], setting: str) -> list[str]:
    """Put the value of ``setting`` ('a.b=v') into the blocks of ``content``.

    Returns the dotted keys that it gives: if the value is a block, its keys are among them. Raises
    UsageError for a setting that cannot be read.
    """
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {setting}: expected KEY=VALUE, such as training.epochs=3")
    *parents, last = key.strip().split(".")
    block = content
    for parent in parents:
        block = block.setdefault(parent, {})
        if not isinstance(block, dict):
            raise UsageError(f"--set {setting}: {parent} is {label(block)}, not a block of keys")
    try:
        block[last] = parse_yaml(value)
    except ValueError as e:
        raise UsageError(f"--set {setting}: the value is not readable as YAML ({e})") from e
    inner = block[last] if isinstance(block[last], dict) else {}
    return [key.strip(), *(f"{key.strip()}.{name}" for name in inner)]


@cache
def _yaml_loaders() -> tuple[type["yaml.SafeLoader"], type["yaml.CSafeLoader"] | None]:
    """The loader in Python, and that of libyaml unless PyYAML was built without it."""
    import yaml

    class Strict(yaml.constructor.SafeConstructor):
        def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
            # PyYAML's own errors for 0b_, !!bool maybe, 2025-13-45 are of many types.
            try:
                return super().construct_object(node, deep)
            except (ValueError, KeyError, AttributeError, TypeError, OverflowError) as e:
                kind = node.tag.rpartition(":")[2]
                text = str(node.value)[:40] if isinstance(node, yaml.ScalarNode) else "this"
                raise yaml.constructor.ConstructorError(
                    None, None, f"{text!r} is no value of the type {kind}", node.start_mark
                ) from e

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            pairs = node.value if isinstance(node, yaml.MappingNode) else ()
            keys = [key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode)]
            twice = [key for i, key in enumerate(keys) if key in keys[:i]]
            if twice:
                line = node.start_mark.line + 1
                raise yaml.YAMLError(
                    f"key {twice[0]} twice in the block that begins in line {line}"
                )
            return super().construct_mapping(node, deep)

    class InPython(Strict, yaml.SafeLoader):
        deep = 0

        def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
            # Before the whole is read: Python cannot call so many functions within each other.
            self.deep += 1
            if self.deep > _DEEPEST:
                raise yaml.YAMLError(_TOO_DEEP)
            node: yaml.Node | None = super().compose_node(parent, index)
            self.deep -= 1
            return node

    number = re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$")
    resolved = ("tag:yaml.org,2002:float", number, list("-+0123456789"))
    InPython.add_implicit_resolver(*resolved)
    if not yaml.__with_libyaml__:
        return InPython, None

    class InC(Strict, yaml.CSafeLoader):
        pass

    InC.add_implicit_resolver(*resolved)
    return InPython, InC


KeyPath = tuple[Any, ...]
"""The keys and list positions that lead to a value of a YAML file."""

KeysAt = Callable[[Sequence[Any]], list[str]]
"""The keys that the block at a path may have."""


class Hints:
    """What to say after a mistake that has to do with keys: that of a similar key, if there is one.

    ``keys_at``: the keys that the block at a path may have.
    """

    def __init__(self, keys_at: KeysAt) -> None:
        self.keys_at = keys_at

    def unknown_key(self, path: KeyPath) -> str:
        """Follows an unknown key; empty if it resembles none."""
        return did_you_mean(str(path[-1]), self.keys_at(path[:-1]))

    def no_block(self, block: str, value: Any) -> str:
        """Follows a value that was given to a whole block."""
        del block, value
        return ""

    def no_list(self, key: str, value: Any) -> str:
        """Follows a single value that was given to a key that takes a list."""
        del key
        return f"; write [{label(value)}]"


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
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, default=str)
    except TypeError:  # a key is a date, say
        return str(value)


def explain_all(
    failure: "ValidationError",
    content: Mapping[str, Any],
    above: KeyPath,
    keys_at: KeysAt,
    without_model: bool = False,
    hints: Hints | None = None,
) -> list[str]:
    """One phrase for each faulty value of ``content``; of nested ones only for the innermost.

    ``above`` is the path of the part that was validated; ``hints`` knows more than the block's own
    keys.
    """
    hints = hints or Hints(keys_at)
    errors: dict[KeyPath, list[Any]] = {}
    for error in failure.errors():
        loc = _within(content, (*above, *error["loc"]))
        if not (without_model and loc[:1] == ("model",)):
            errors.setdefault(loc, []).append(error)
    deepest = [a for a in errors if not any(b[: len(a)] == a for b in errors if b != a)]
    return [_explain(loc, errors[loc], keys_at, hints) for loc in deepest]


def _within(content: Any, loc: KeyPath) -> KeyPath:
    """``loc`` without the names of a union's members, which pydantic adds to a path."""
    for depth, part in enumerate(loc):
        if not isinstance(content, dict | list):
            return loc[:depth]
        if part not in (content if isinstance(content, dict) else range(len(content))):
            return loc
        content = content[part]
    return loc


def _explain(loc: KeyPath, errors: Sequence[Any], keys_at: KeysAt, hints: Hints) -> str:
    key = ".".join(str(part) for part in loc)
    kind, value = errors[0]["type"], errors[0]["input"]
    if kind == "extra_forbidden":
        return f"unknown key {key}{hints.unknown_key(loc)}"
    if kind == "missing":
        return f"{key} is missing"
    if kind == "model_type":
        if todo := hints.no_block(key, value):
            return f"{key} is a block of keys; found {value!r}{todo}"
        return f"{key} is a block of {', '.join(keys_at(loc))}; found {value!r}"
    if kind == "value_error":  # one of the kit's own
        message = str(errors[0]["ctx"]["error"])
        return message if message.startswith(key) else f"{key}: {message}"
    expected = ", or ".join(_expected(error) for error in errors)
    known = [choice for error in errors for choice in _choices(error)]
    if kind == "tuple_type" and isinstance(value, str | int | float):
        return f"{key}: expected {expected}; found {value!r}{hints.no_list(key, value)}"
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
