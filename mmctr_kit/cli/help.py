"""The help of a command or a group, laid out for 60 columns and more.

Typer's panels break option names, paths and examples in narrow terminals, and show Python types.
"""

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from mmctr_kit.api.screen import Screen
from mmctr_kit.cli import mistakes, words

PANELS = ("Begin", "Data", "Train", "Blend", "Submit", "Look")
"""The panels of commands, in the order of work."""

EXAMPLES = "[bold]Examples[/bold]"
"""The heading of examples in the docstring of a command."""

EVERYWHERE = "-q, -v, --log-file FILE and --debug go with every command: mmctr-kit -h"

_NARROW = 76
"""In a terminal of fewer columns the text of an option stands below its name."""


class _InContext:
    """Lets a mistake know its command, which the parser leaves out of some."""

    def get_help_option_names(self, ctx: Any) -> list[str]:
        """``-h, --help``, in this order; the parser's own order changes from call to call."""
        return sorted(super().get_help_option_names(ctx), key=len)  # type: ignore[misc]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line."""
        try:
            return list(super().parse_args(ctx, args))  # type: ignore[misc]
        except mistakes.Misuse as e:
            e.ctx = getattr(e, "ctx", None) or ctx
            raise


class Command(_InContext, TyperCommand):
    """A command whose help is laid out here."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        del formatter
        out = Screen()
        _head(out, self, ctx, group=False)
        _parameters(out, self.get_params(ctx))
        _paragraph(out, EVERYWHERE, "dim")


class Group(_InContext, TyperGroup):
    """A group of commands whose help is laid out here, its commands in panels."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        del formatter
        out = Screen()
        _head(out, self, ctx, group=True)
        panels: dict[str, dict[str, str]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            title = command.rich_help_panel or "Commands"
            first = (command.help or "").partition("\n\n")[0]
            panels.setdefault(title, {})[name] = first
        for title in sorted(panels, key=lambda t: PANELS.index(t) if t in PANELS else -1):
            _listing(out, title, panels[title])
        _parameters(out, self.get_params(ctx))
        if ctx.parent is not None:
            _paragraph(out, EVERYWHERE, "dim")


def _head(out: Screen, command: Any, ctx: Any, group: bool) -> None:
    usage = words.usage(ctx.command_path, command.get_params(ctx), group)
    _lines(out, _wrapped(f"Usage: {usage}", out.width, 7), "bold")
    headed = False
    for part in (command.help or "").split("\n\n"):
        if part.startswith("  "):
            if not headed:
                out.print()
            for example in part.splitlines():
                _lines(out, _continued(example.strip(), out.width - 2), indent=2)
        elif part == EXAMPLES:
            out.print("\nExamples", style="bold")
        else:
            _paragraph(out, Text.from_markup(part).plain)
        headed = part == EXAMPLES


def _parameters(out: Screen, parameters: Iterable[Any]) -> None:
    arguments: dict[str, str] = {}
    options: dict[str, str] = {}
    for parameter in parameters:
        if getattr(parameter, "hidden", False):
            continue
        note = "; ".join(words.notes(parameter))
        text = f"{parameter.help or ''}{f' [{note}]' if note else ''}"
        if words.is_argument(parameter):
            arguments[words.metavar(parameter)] = text
        else:
            left = " ".join(filter(None, (", ".join(parameter.opts), words.metavar(parameter))))
            options[left] = text
    _listing(out, "Arguments", arguments)
    _listing(out, "Options", options)


def _listing(out: Screen, title: str, entries: Mapping[str, str]) -> None:
    """Print names on the left and their texts on the right; a long name has a line of its own."""
    if not entries:
        return
    out.print(f"\n{title}", style="bold")
    longest = max(map(len, entries)) + 4
    column = min(longest, 26 if out.width >= _NARROW or title != "Options" else 6)
    for name, text in entries.items():
        lines = _wrapped(text, out.width - column)
        beside = len(name) + 4 <= column
        left = Text(f"  {name}", style="cyan")
        if beside:
            out.print(left.append(f"{'':{column - len(left)}}{lines[0]}", style="none"))
        else:
            _lines(out, _wrapped(name, out.width - 2, 4), "cyan", 2)
        _lines(out, lines[1:] if beside else lines, indent=column)


def _paragraph(out: Screen, text: str, style: str = "") -> None:
    if text:
        out.print()
    for part in text.split("\n"):
        _lines(out, _wrapped(part, out.width), style)


def _lines(out: Screen, lines: Iterable[str], style: str = "", indent: int = 0) -> None:
    for line in lines:
        out.print(Text(f"{'':{indent}}{line}", style), soft_wrap=True)


_LEAST = 12
"""The least columns of a text, however few the terminal says that it has."""


def _wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    width = max(width, _LEAST)
    lines = textwrap.wrap(
        text, width, subsequent_indent=" " * indent, break_on_hyphens=False, break_long_words=True
    )
    return lines or [""]


def _continued(example: str, width: int) -> list[str]:
    """A command line in lines that a shell joins again; an option stays with its value."""
    if len(example) <= width:
        return [example]
    glued = re.sub(r"(--[\w-]+) (?!-)", "\\1\0", example)
    width = max(width - 2, _LEAST)
    lines = textwrap.wrap(
        glued, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
    return [x.replace("\0", " ") + " \\" * (x != lines[-1]) for x in lines]
