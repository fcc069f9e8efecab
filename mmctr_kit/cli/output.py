"""Printing: one console, findings, tables, progress. Plain lines without a terminal."""

import json
import math
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.errors import Terminated

if TYPE_CHECKING:
    from mmctr_kit.api.progress import Display


_STYLES = {Level.PASS: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}

PLAIN_WIDTH = 80


def console() -> Console:
    """Standard output; 80 columns wide if it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)


def say(text: str, style: str = "") -> None:
    """One line of plain text, never wrapped or interpreted."""
    console().print(escape(text), style=style, soft_wrap=True)


def say_path(before: str, path: Path | str, after: str) -> None:
    """``before``, the path and ``after`` on one line. If that is wider than the console, ``after``
    moves to the next line, so that a path ends its line whole."""
    line = f"{before}{path}{after}"
    if cell_len(line) <= console().width:
        say(line)
        return
    say(f"{before}{path}")
    say(f"  {after.lstrip(' :;,')}")


def warn(text: str) -> None:
    """One line on standard error."""
    Console(stderr=True, highlight=False).print(
        f"[yellow]warning:[/yellow] {escape(text)}", soft_wrap=True
    )


def fail(text: str, code: int) -> NoReturn:
    """One line on standard error, and out."""
    Console(stderr=True, highlight=False).print(
        f"[bold red]error:[/bold red] {escape(text)}", soft_wrap=True
    )
    sys.exit(code)


def stopped(error: BaseException | None, then: str = "") -> NoReturn:
    """One line of a command that Ctrl-C or SIGTERM ended, and out with a shell's code for it."""
    terminated = isinstance(error, Terminated)
    what, code = ("stopped by SIGTERM", 143) if terminated else ("interrupted", 130)
    fail(f"{what}; {then}" if then else what, code)


def print_json(content: Any) -> None:
    """For scripts: JSON on standard output and nothing else."""
    sys.stdout.write(json.dumps(content, indent=1, allow_nan=False) + "\n")


def finite(content: dict[str, Any]) -> dict[str, Any]:
    """A copy in which NaN and infinite numbers are null, at any depth."""
    return {k: _finite(v) for k, v in content.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return finite(value)
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_findings(findings: Sequence[Finding], quiet_pass: bool = False) -> None:
    """A check's report: each finding, what to do about it, and the count of levels."""
    out = console()
    shown = [f for f in findings if not (quiet_pass and f.level is Level.PASS)]
    wide = max((len(f.id) for f in shown), default=0)
    margin = wide + len(" PASS    ")
    for finding in shown:
        head = f" [{_STYLES[finding.level]}]{finding.level}[/]  {escape(finding.id.ljust(wide))}  "
        lines = [escape(line) for line in wrapped(finding.what, out.width - margin - 1)]
        if finding.todo:
            todo = wrapped(f"-> {finding.todo}", out.width - margin - 1)
            lines += [f"[dim]{escape(line)}[/dim]" for line in todo]
        out.print(head + f"\n{' ' * margin}".join(lines), soft_wrap=True)
    counts = {level: sum(f.level is level for f in findings) for level in Level}
    out.print(", ".join(f"{n} {level}" for level, n in counts.items()))


def report(
    findings: Sequence[Finding], strict: bool, as_json: bool, quiet: bool = False
) -> NoReturn:
    """Print a check's findings and exit as they say; ``quiet`` leaves out what passed."""
    from mmctr_kit.audit import findings as levels

    if as_json:
        print_json(levels.as_json(findings))
    else:
        print_findings(findings, quiet_pass=quiet)
    raise typer.Exit(levels.exit_code(findings, strict))


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """The text in lines of that width, those after the first with an indent. A word that is longer
    than a line, like a path, has one of its own and stays whole."""
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """A table; the first ``left`` columns are text, the others figures set to the right."""
    grid = Table(box=None, padding=(0, 1), header_style="bold")
    for i, name in enumerate(columns):
        grid.add_column(
            name, justify="left" if i < left else "right", no_wrap=i >= left, overflow="fold"
        )
    for row in rows:
        grid.add_row(*(escape(cell) for cell in row))
    console().print(grid)


def progress(quiet: bool) -> "Display":
    """The display of long work: a bar, or plain lines; warnings alone if ``quiet``."""
    from mmctr_kit.api.progress import Display

    return Display(quiet, warn)


@contextmanager
def resumable(where: str, force: bool = False) -> Iterator[None]:
    """If Ctrl-C or SIGTERM ends the block, say how the command goes on ``where`` it stopped."""
    try:
        yield
    except KeyboardInterrupt as e:
        again = "the same command without --force" if force else "the same command"
        stopped(e, f"{again} goes on {where}")


@contextmanager
def status(text: str) -> Iterator[None]:
    """A spinner with the text on a terminal; nothing elsewhere."""
    out = Console(stderr=True)
    if not out.is_terminal:
        yield
        return
    with out.status(text):
        yield


def short(value: float) -> str:
    """A number with three significant figures, or all of its integer part."""
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"


def short_count(value: float) -> str:
    """Like 850, 12.3k, 1.23M."""
    for unit, size in (("", 1), ("k", 1e3), ("M", 1e6)):
        if value < 999.5 * size:
            return f"{value:.0f}" if size == 1 else f"{short(value / size)}{unit}"
    return f"{short(value / 1e9)}G"
