"""Printing: one console, findings, tables, progress. Plain lines without a terminal."""

import json
import math
import signal
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import typer
from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table

from mmctr_kit.api.screen import Screen
from mmctr_kit.audit import findings as levels
from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.cli import verbosity
from mmctr_kit.cli.encoding import signs
from mmctr_kit.errors import Terminated, UsageError, visible

if TYPE_CHECKING:
    from mmctr_kit.api.progress import Display
    from mmctr_kit.bench.result import Result
    from mmctr_kit.cv.model_cost import Measured
    from mmctr_kit.metrics.estimate import Estimate

_STYLES = {Level.PASS: "green", Level.SKIP: "cyan", Level.WARN: "yellow", Level.FAIL: "bold red"}

PLAIN_WIDTH = 80


class _Logged(Screen):
    """A console whose prints go to the log file too."""

    def print(self, *objects: Any, **how: Any) -> None:
        super().print(*objects, **how)
        verbosity.log_printed(*objects, width=self.width)


def room() -> float:
    """The columns that a table may take: the terminal's; elsewhere as many as it needs."""
    return console().width if sys.stdout.isatty() else math.inf


def console() -> Screen:
    """Standard output; 80 columns wide if it is no terminal."""
    return _Logged(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def _shown(text: str) -> str:
    """The text as standard output will show it, so that it is wrapped at the right places."""
    return signs(visible(text), sys.stdout)


def say(text: str, style: str = "", wrap: bool = True) -> None:
    """Print plain text; a terminal gets it wrapped at words, a pipe or file on one line.

    ``wrap=False`` is for a command that will be copied, or a path.
    """
    out, text = console(), _shown(text)
    lines = _flowed(text, out.width) if wrap and sys.stdout.isatty() else text
    out.print(escape(lines), style=style, soft_wrap=True)


def _flowed(text: str, width: int) -> str:
    return "\n".join("\n".join(wrapped(line, width)) for line in text.split("\n"))


def say_path(before: str, path: Path | str, after: str) -> None:
    """Print ``before``, the path and ``after`` on one line if they fit the console.

    If they do not, ``after`` moves to the next line, so that a path stays whole.
    """
    line = f"{before}{path}{after}"
    fits = cell_len(line) <= console().width
    say(line if fits else f"{before}{path}\n  {after.lstrip(' :;,')}", wrap=False)


def warn(text: str, label: str = "warning:", style: str = "yellow") -> None:
    """Print a message on standard error; wrapped at words on a terminal, else one line."""
    out, text = Screen(stderr=True), visible(text, one_line=True)
    verbosity.LOG.warning("%s %s", label, text)
    line = signs(f"{label} {text}", sys.stderr)
    line = _flowed(line, out.width) if sys.stderr.isatty() else line
    out.print(f"[{style}]{label}[/]{escape(line.removeprefix(label))}", soft_wrap=True)


def fail(text: str, code: int) -> NoReturn:
    """Print a message as :func:`warn` does and exit."""
    warn(text, "error:", "bold red")
    sys.exit(code)


def stopped(error: BaseException | None, then: str = "") -> NoReturn:
    """Print one line after Ctrl-C, SIGTERM or SIGHUP, and exit with the shell's code for it."""
    what, code = "interrupted", 130
    if isinstance(error, Terminated):
        what, code = f"stopped by {signal.Signals(error.number).name}", 128 + error.number
    fail(f"{what}; {then}" if then else what, code)


def confirmed(question: str, yes: bool) -> bool:
    """Whether the user says yes to a question on standard error; ``yes``: it is not asked.

    Raises UsageError if there is nobody to ask.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(f"no terminal to ask at: {question} Nothing was done; add --yes")
    return typer.confirm(visible(question), default=False, err=True)


def size_text(size: float) -> str:
    """Bytes for people, like 850 B, 12.3 kB, 1.23 GB."""
    for unit, unit_size in (("kB", 1e3), ("MB", 1e6)):
        if size < 999.5 * unit_size:
            return f"{size:.0f} B" if size < 999.5 else f"{short(size / unit_size)} {unit}"
    return f"{short(size / 1e9)} GB"


def print_json(content: Any) -> None:
    """For scripts: JSON on standard output and nothing else."""
    text = json.dumps(content, indent=1, allow_nan=False)
    verbosity.LOG.info("%s", text)
    sys.stdout.write(text + "\n")


def print_yaml(text: str, as_json: bool) -> None:
    """Print a YAML text as it stands, with its comments, or its content as JSON."""
    from mmctr_kit.yaml_files import parse_yaml

    if as_json:
        print_json(parse_yaml(text))
    else:
        typer.echo(text, nl=False)


def finite(value: Any) -> Any:
    """Copy a value for JSON: NaN and infinite numbers are null, at any depth."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_findings(findings: Sequence[Finding], only_problems: bool = False) -> None:
    """Print each finding, or each WARN and FAIL, what to do about it, and a line that sums up."""
    out = console()
    shown = levels.problems(findings) if only_problems else levels.brief(findings)
    wide = max((len(f.id) for f in shown), default=0)
    margin = wide + len(" PASS    ")
    for finding in shown:
        head = f" [{_STYLES[finding.level]}]{finding.level}[/]  {escape(finding.id.ljust(wide))}  "
        what, todo = _shown(finding.what), _shown(finding.todo)
        lines = wrapped(what, out.width - margin - 1)
        todo_lines = wrapped(f"-> {todo}" if todo else "", out.width - margin - 1)
        # Escaped when joined: a bracket may open in one line and close in the next.
        texts = [escape(f"\n{' ' * margin}".join(part)) for part in (lines, todo_lines) if part]
        texts[1:] = [f"[dim]{text}[/dim]" for text in texts[1:]]
        out.print(head + f"\n{' ' * margin}".join(texts), soft_wrap=True)
    for line in wrapped(levels.summary(findings), out.width - 1):
        say(line, wrap=False)


def report(
    findings: Sequence[Finding], strict: bool, as_json: bool, only_problems: bool = False
) -> NoReturn:
    """Print a check's findings, or each WARN and FAIL, and exit with their code."""
    if as_json:
        print_json(levels.as_json(levels.problems(findings) if only_problems else findings))
    else:
        print_findings(findings, only_problems or verbosity.quiet())
    raise typer.Exit(levels.exit_code(findings, strict))


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """Wrap a text, with later lines indented; a word that is too long, like a path, stays whole."""
    return textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """A table; the first ``left`` columns are text, the others figures set to the right.

    Figures are never cut, nor names in the first column folded if there is room or they have at
    most :data:`_LEAST` letters. A terminal that is too narrow for that gets a list for each row, a
    pipe longer lines.
    """
    out = console()
    columns = list(map(_shown, columns))
    rows = [list(map(_shown, row)) for row in rows]
    cells = [[name, *(row[i] for row in rows)] for i, name in enumerate(columns)]
    longest_name = _NAME if room() < math.inf else _NAME_IN_PIPE
    whole, folded = (_needed(cells, left, longest) for longest in (longest_name, _LEAST))
    if folded > room():
        _lists(columns, rows)
        return
    if room() == math.inf:
        out.width = max(out.width, whole)
    grid = Table(box=None, padding=(0, 1), header_style="bold")
    for i, name in enumerate(columns):
        short = i == 0 and max(map(cell_len, cells[0])) <= longest_name and whole <= out.width
        side: Literal["left", "right"] = "left" if i < left else "right"
        grid.add_column(escape(name), justify=side, no_wrap=short or i >= left, overflow="fold")
    for row in rows:
        grid.add_row(*map(escape, row))
    out.print(grid)


_NAME, _LEAST, _NAME_IN_PIPE = 24, 12, 60
"""A longer word of a text column is folded; so is one longer than the second if there is no room
for it. Without a terminal the third holds."""


def _needed(cells: Sequence[Sequence[str]], left: int, longest: int) -> int:
    """The width of a table whose words of text are folded if they are longer than ``longest``."""
    widths = []
    for number, column in enumerate(cells):
        words = [word for cell in column for word in cell.split()] if 0 < number < left else column
        width = max(map(cell_len, words), default=0)
        widths.append(min(width, longest) if number < left else width)
    return sum(widths) + 2 * len(widths)


def _lists(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print each row below its first cell, a line for each other one that is not empty."""
    wide = max(map(cell_len, columns[1:]), default=0)
    indent = " " * (wide + 4)
    for row in rows:
        say(row[0], wrap=False)
        for name, text in zip(columns[1:], row[1:], strict=True):
            if text:
                lines = wrapped(text, max(console().width - len(indent), _LEAST))
                say(f"  {name.ljust(wide)}  " + f"\n{indent}".join(lines), wrap=False)


@contextmanager
def progress(resumes: str = "", force: bool = False) -> Iterator["Display"]:
    """Show long work on standard error, as a bar or in plain lines.

    If Ctrl-C or SIGTERM ends it, say from where the same command ``resumes``.
    """
    from mmctr_kit.api.progress import Display

    try:
        with Display(quiet=verbosity.quiet(), warn=warn) as display:
            yield display
    except KeyboardInterrupt as e:
        if not resumes:
            raise
        again = "the same command without --force" if force else "the same command"
        stopped(e, f"{again} goes on {resumes}")


@contextmanager
def status(text: str) -> Iterator[None]:
    """Show on a terminal that something is being done, at first ``text``; nothing elsewhere."""
    from mmctr_kit.api.progress import ProgressEvent

    with progress() as display:
        display(ProgressEvent("activity", label=text))
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


def cell(estimate: "Estimate | None", signed: bool = False) -> str:
    """An estimate in a table; "-" if there is none."""
    return "-" if estimate is None else estimate.compact(signed)


def cost_table(
    of: str, costs: Sequence[tuple[str, "Measured | Result"]], speeds: Sequence[float] = ()
) -> None:
    """Print each model's weights, training rows/s if given, latencies and peak memory."""
    rates = [[short_count(speed)] for speed in speeds] or [[] for _ in costs]
    rows = []
    for (name, cost), rate in zip(costs, rates, strict=True):
        times = [f"{short(each.p50_ms)}/{short(each.p99_ms)}" for each in cost.latency]
        rows.append([name, short_count(cost.parameters), *rate, *times, f"{cost.memory_mb:,.0f}"])
    sizes = [f"{each.candidates:,}" for each in cost.latency]
    table((of, "weights", *(["rows/s"] if speeds else []), *sizes, "MB"), rows)
    peak = {"gpu": "tensors on the GPU", "process": "the whole process, with its data"}
    say(f"MB: peak memory of {peak[cost.memory_of]}")
