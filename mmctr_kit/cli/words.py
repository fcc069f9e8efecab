"""What a command's parameter is called and takes, in words, for its help and for mistakes in it.

Typer's own are Python's: ``<bool>``, ``<list[str]>``, ``<int range>``.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmctr_kit.cli.settings import key_of

MOST_IN_METAVAR = 34
"""If the choices joined are longer than this, they stand in the help's text instead."""

_KINDS = {int: "a whole number", float: "a number"}
_LETTERS = {int: "N", float: "X", Path: "FILE"}


def is_argument(parameter: Any) -> bool:
    """Whether it is a command's argument, not an option."""
    return bool(parameter.param_type_name == "argument")


def choices_of(parameter: Any) -> tuple[str, ...]:
    """The values that a parameter with a closed choice takes; empty if it is of another kind."""
    return tuple(map(str, parameter.type_descriptor.choices or ()))


def kind_of(parameter: Any) -> Any:
    """The Python type of a parameter's value, without list."""
    annotation = parameter.type_descriptor.annotation
    return getattr(annotation, "__args__", (annotation,))[0]


def metavar(parameter: Any) -> str:
    """What stands for the value in a usage line; empty for a switch."""
    if getattr(parameter, "is_flag", False):
        return ""
    if parameter.metavar is not None:
        return str(parameter.metavar)
    joined = "|".join(choices_of(parameter))
    if joined and len(joined) <= MOST_IN_METAVAR:
        return joined
    return _LETTERS.get(kind_of(parameter), str(parameter.name).upper().replace("_", "-"))


def label(parameter: Any) -> str:
    """How a message names the parameter: ``--data``, or ``RECIPE``."""
    return metavar(parameter) if is_argument(parameter) else str(parameter.opts[0])


def expected(parameter: Any) -> str:
    """What a value must be: ``a whole number, 1 or more``; empty if any text will do."""
    if choices := choices_of(parameter):
        return f"one of {', '.join(choices)}"
    return ", ".join(filter(None, (_KINDS.get(kind_of(parameter), ""), limits(parameter))))


def limits(parameter: Any) -> str:
    """The range of a number: ``1 or more``, ``0 to 9``; empty if it has none."""
    low, high = parameter.min, parameter.max
    if low is None and high is None:
        return ""
    if high is None:
        return f"{low:g} or more"
    return f"at most {high:g}" if low is None else f"{low} to {high}"


def notes(parameter: Any) -> list[str]:
    """What the help says of a parameter in brackets after its text."""
    out = []
    choices = choices_of(parameter)
    if choices and "|" not in metavar(parameter):
        out.append(expected(parameter))
    elif not choices and (range_of := limits(parameter)):
        out.append(range_of)
    if parameter.required:
        out.append("required")
    default = parameter.default
    if not (default is None or default is False or default == "" or callable(default)):
        out.append(f"default: {default}")
    if parameter.multiple:
        out.append("repeatable")
    if parameter.envvar:
        out.append(f"env: {parameter.envvar}")
        if key := key_of(str(parameter.name)):
            out.append(f"mmctr-kit.toml: {key}")
    return out


def examples(command: Any) -> Iterator[str]:
    """The command lines in a command's help."""
    for line in (command.help or "").splitlines():
        if line.startswith("  mmctr-kit "):
            yield line.strip()


def usage(path: str, parameters: Sequence[Any], group: bool) -> str:
    """The usage line of the command at ``path``, such as ``mmctr-kit cv [OPTIONS] RECIPE...``."""
    arguments = [
        metavar(parameter) if parameter.required else f"[{metavar(parameter)}]"
        for parameter in filter(is_argument, parameters)
    ]
    return " ".join([path, "[OPTIONS]", *arguments, *(["COMMAND ..."] if group else [])])
