"""The errors of the kit: what the user, not the code, has to mend.

A message is one line: what is wrong, what was expected, what to do. The command line prints it and
exits with ``exit_code``; any other exception that escapes is a bug and shows its traceback.
"""

import difflib
import errno
import json
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError


class MmctrKitError(Exception):
    """A failed check, or an operation that cannot go on; the command exits with 1."""

    exit_code = 1


class UsageError(MmctrKitError):
    """The command itself is wrong; it exits with 2.

    It names a file, run or recipe key that does not exist or does not fit, options that do not go
    together, or a place that may not be written to.
    """

    exit_code = 2


class DataError(MmctrKitError):
    """A data folder, or another input file, exists but does not hold what it should."""


class RunError(MmctrKitError):
    """A run or study folder is unfinished, does not match, or would be overwritten."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came; like Ctrl-C it ends the command, which cleans up."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` (did you mean din?)``, to follow the unknown ``name``; empty if none is similar."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_REFUSED = {
    **dict.fromkeys(_FULL, "make room"),
    errno.EROFS: "write elsewhere",
    errno.EACCES: "mend the permissions, or write elsewhere",
    errno.EPERM: "mend the permissions, or write elsewhere",
}
"""The system's refusals that are no bug of the kit, and what to do about each."""


def refusal(error: OSError) -> MmctrKitError | None:
    """The error of a full disk or a forbidden place; None if a bug may be the cause."""
    if error.errno not in _REFUSED:
        return None
    may_be_reading = error.errno in (errno.EACCES, errno.EPERM)
    denied = "cannot be read or written" if may_be_reading else "cannot be written"
    where = f"'{error.filename}' {denied}" if error.filename else "output fails"
    why = os.strerror(error.errno)
    todo = f"{_REFUSED[error.errno]}, then run the command again"
    return unwritable(f"{where} ({why}); {todo}", error)


def unwritable(message: str, error: OSError) -> MmctrKitError:
    """The error that a file cannot be written; a UsageError unless the disk is full."""
    return MmctrKitError(message) if error.errno in _FULL else UsageError(message)


def warn_in_one_line() -> None:
    """Make this process show a warning as one line, without its source line."""
    warnings.formatwarning = _one_line


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    return f"warning: {' '.join(str(message).split())}\n"


def plural(number: int, one: str, many: str = "") -> str:
    """A number and its noun: ``1 row``, ``1,234 rows``; give ``many`` if it does not end in s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


KeyPath = tuple[Any, ...]
"""The keys and list positions that lead to a value of a YAML file."""

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
    failure: "ValidationError",
    content: Mapping[str, Any],
    above: KeyPath,
    keys_at: KeysAt,
    without_model: bool = False,
) -> list[str]:
    """One phrase for each faulty value of ``content``; of nested ones only for the innermost.

    ``above`` is the path of the part that was validated.
    """
    errors: dict[KeyPath, list[Any]] = {}
    for error in failure.errors():
        loc = _within(content, (*above, *error["loc"]))
        if not (without_model and loc[:1] == ("model",)):
            errors.setdefault(loc, []).append(error)
    deepest = [a for a in errors if not any(b[: len(a)] == a for b in errors if b != a)]
    return [_explain(loc, errors[loc], keys_at) for loc in deepest]


def _within(content: Any, loc: KeyPath) -> KeyPath:
    """``loc`` without the names of a union's members, which pydantic adds to a path."""
    for depth, part in enumerate(loc):
        if not isinstance(content, dict | list):
            return loc[:depth]
        if part not in (content if isinstance(content, dict) else range(len(content))):
            return loc
        content = content[part]
    return loc


def _explain(loc: KeyPath, errors: Sequence[Any], keys_at: KeysAt) -> str:
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
