"""A command line that cannot be parsed, as one line: what is wrong, what was expected, what to do.

Typer finds the mistake; its own sentences, and those of pydantic that it passes on, are not shown.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import typer

from mmctr_kit.cli import words
from mmctr_kit.errors import closest, did_you_mean

_typer: Any = sys.modules[typer.BadParameter.__module__]
Misuse: Any = typer.BadParameter.__mro__[2]
"""Typer's error for a command line that it cannot parse: click's ClickException, which newer
versions of Typer carry inside."""


def explain(error: Any) -> str:
    """The mistake in one line; empty if no command was given and the help was shown."""
    context = getattr(error, "ctx", None)
    if isinstance(error, _typer.NoArgsIsHelpError):
        return ""
    if isinstance(error, _typer.MissingParameter):
        return _missing(error.param, context)
    if isinstance(error, _typer.NoSuchOption):
        known = [option for p in _parameters(context) for option in p.opts if "--" in option]
        near = closest(error.option_name.strip("-"), [option[2:] for option in known])
        hint = f" (did you mean --{near}?)" if near else ""
        what = f"no option {error.option_name}{hint}{_as_setting(error.option_name, context)}"
        return f"{what}; {_lists(context, 'the options')}"
    if isinstance(error, _typer.BadOptionUsage):
        return _without_value(error, context)
    if isinstance(error, _typer.BadParameter) and error.param is not None:
        return f"{_bad_value(error)}; {_path(context)} -h has examples"
    return _of_the_line(error, context)


def _as_setting(option: str, context: Any) -> str:
    """``; write --set training.epochs=3``, if a key of the recipe was given as an option."""
    parameters = _parameters(context)
    if not any("--set" in p.opts and "recipe" in (p.help or "") for p in parameters):
        return ""
    from mmctr_kit.recipe.schema import keys_meant

    value = "VALUE"
    for word, following in pairwise([*sys.argv, "--"]):
        if word.startswith(f"{option}="):
            value = word.partition("=")[2]
        elif word == option and not following.startswith("--"):
            value = following
    written = [f"--set {shlex.quote(f'{key}={value}')}" for key in keys_meant(option.strip("-"))]
    return f"; write {' or '.join(written)}" if written else ""


def _missing(parameter: Any, context: Any) -> str:
    name, word = words.label(parameter), words.metavar(parameter)
    what = (parameter.help or words.expected(parameter)).rstrip(".")
    text = f"{name} is missing: {what}"
    if parameter.envvar == "MMCTR_KIT_DATA":
        begin = f"name it with {name} {word}" if name != word else "name it"
        return f'{text}; {begin}, or set MMCTR_KIT_DATA, or data = "..." in mmctr-kit.toml'
    example = next(iter(words.examples(context.command)), "")
    return f"{text}; for example: {example}" if example else text


def _without_value(error: Any, context: Any) -> str:
    name = error.option_name
    for parameter in _parameters(context):
        if name in parameter.opts and (word := words.metavar(parameter)):
            return f"{name} needs a value: {name} {word}; {_path(context)} -h explains it"
    return f"{name} is a switch and takes no value; write {name} alone"


def _bad_value(error: Any) -> str:
    """``--seed: expected a whole number, 0 or more; found 'x'``, or a callback's own words."""
    parameter, name = error.param, words.label(error.param)
    problem = error.__cause__
    if not hasattr(problem, "errors"):  # of a callback of ours
        return f"{name}: {error.message.rstrip('.')}"
    first = problem.errors()[0]
    value, ours = first["input"], str(first.get("ctx", {}).get("error", ""))
    choices = words.choices_of(parameter)
    if ours and not choices:
        return f"{name}: {ours}"
    hint = did_you_mean(str(value), choices)
    source = ""
    if parameter.envvar and os.environ.get(parameter.envvar) == value:
        source = f" in {parameter.envvar}"
    return f"{name}: expected {words.expected(parameter)}; found {value!r}{source}{hint}"


def _of_the_line(error: Any, context: Any) -> str:
    """An unknown or missing command, arguments too many, or a mistake of any other kind."""
    message = str(error.message)
    commands = getattr(context.command, "commands", {}) if context is not None else {}
    if unknown := re.match(r"No such command '(.*)'\.", message):
        name = unknown[1]
        return f"no command '{name}'{did_you_mean(name, commands)}; {_lists(context, 'them')}"
    if commands and message.startswith("Missing command"):
        return f"no command was given; {_lists(context, 'them')}"
    if message.startswith("Got unexpected extra argument"):
        extra = message.rpartition(" (")[2].removesuffix(")")
        usage = words.usage(context.command_path, context.command.params, group=False)
        return f"too many arguments: {extra}; expected {usage}"
    return " ".join(message.split())


def _lists(context: Any, what: str) -> str:
    return f"{_path(context)} -h lists {what}"


def _path(context: Any) -> str:
    return "mmctr-kit" if context is None else str(context.command_path)


def _parameters(context: Any) -> Iterable[Any]:
    return () if context is None else context.command.get_params(context)
