"""Prints the leaderboard, with studies, ablations and unfinished runs, in the console's width."""

import os
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from mmctr_kit.cli import options
from mmctr_kit.cli.output import cell, finite, print_json, room, say, status, table, warn

if TYPE_CHECKING:
    from mmctr_kit.runs.leaderboard import LeaderboardRow, Sort
    from mmctr_kit.submission.verdicts import RuleVerdict

Rules = Mapping[str, "tuple[RuleVerdict, ...]"]
"""Run -> one verdict for each task."""

TRANSDUCTIVE = "[T]"
"""Marks a run whose score of a row depends on the rows beside it."""

_PADDING = 2
_NARROW = 18
"""A column whose text is wrapped is not narrower than this."""


@dataclass(frozen=True)
class Choice:
    """Which lines are shown, and in what order: see :func:`mmctr_kit.runs.leaderboard.chosen`."""

    sort: "Sort"
    kinds: tuple[str, ...]
    names: tuple[str, ...]
    unfinished: bool


def list_runs(
    runs: Path, truth: Path | None, choice: Choice, shown: str, task: str | None, as_json: bool
) -> None:
    """Print what is under ``runs``: its "scores", or by ``shown`` its "time" or its "rules"."""
    from mmctr_kit.api.overview import overview, require_root
    from mmctr_kit.runs.leaderboard import chosen
    from mmctr_kit.runs.run import Run
    from mmctr_kit.submission.verdicts import check_runs

    if runs == options.RUNS and not runs.is_dir() and not as_json:
        say(f"there is no folder '{runs}' here; 'mmctr-kit cv' makes one{_elsewhere(runs)}")
        return
    if runs != options.RUNS or runs.is_dir():
        require_root(runs)
    with status(f"reading the runs in {runs}"):
        everything = overview(runs, truth)
    entries = chosen(everything, choice.sort, choice.kinds, choice.names, choice.unfinished)
    ranked = [e for e in entries if e.ranked]
    verdicts = check_runs((Run(runs / e.name) for e in ranked if e.kind != "truth"), runs)
    if as_json:
        print_json([finite(_json(e, verdicts)) for e in entries])
    elif not everything:
        say(f"no runs in {runs} yet; make one with 'mmctr-kit cv'{_elsewhere(runs)}")
    elif not entries:
        say(f"no run matches --kind, --only, --unfinished; {runs} has {len(everything)}")
    elif shown == "time":
        from mmctr_kit.cv.fold import PHASES

        table(["run", "seconds", *PHASES], [_times(e) for e in entries if e.phases])
    elif shown == "rules":
        _print_rules(verdicts, task)
    else:
        _print_ranked(ranked, truth is not None, verdicts, choice.sort)
        _print_others([e for e in entries if not e.ranked])
    for entry in entries:
        if entry.state == "unreadable":
            warn(f"{entry.name}: {entry.progress}")


def _print_rules(verdicts: Rules, task: str | None) -> None:
    from mmctr_kit.data.contract import Task
    from mmctr_kit.submission.score import column_name

    wanted = [column] if (column := column_name(task)) else [*Task]
    shown = {n: [v for v in each if v.task in wanted] for n, each in verdicts.items()}
    table(["run", *wanted], [[n, *map(str, shown[n])] for n in _best_kept(shown)], left=4)
    say("'mmctr-kit submit --list' explains the rules")


def _print_ranked(
    entries: "Sequence[LeaderboardRow]", with_test: bool, verdicts: Rules, sort: "Sort"
) -> None:
    """Print the finished runs, in columns that fit the console; the others are named."""
    if not entries:
        return
    columns = ["run", "OOF AUC", "valid AUC", "Δ vs best", "seeds", "rules", "begun"]
    if with_test:
        columns = ["run", "valid AUC", "Δ vs best", "test AUC", "oracle", "rules", "begun"]
    rows = [_row(e, with_test, verdicts) for e in entries]
    least = ["begun", "rules", "oracle", "OOF AUC", "seeds", "Δ vs best"]
    if sort == "date":
        least = [*least[1:], least[0]]
    hidden = print_fitting(columns, rows, least)
    for entry in entries:
        if entry.state == "alarm":
            say(f"{entry.name}: OOF and valid disagree; see its metrics.json", style="yellow")
    if any(e.transductive for e in entries):
        say(f"{TRANSDUCTIVE} transductive: scores depend on other rows; compare such runs apart")
    if any(e.kept for e in entries) and "oracle" not in hidden:
        say("oracle: share kept of its lead over 0.5, with the standard error of the test AUC")
    _say_hidden(hidden)


def _say_hidden(columns: Sequence[str]) -> None:
    """Print which columns a table was too narrow for, and what shows them."""
    rules = "--rules has the rules, " if "rules" in columns else ""
    if columns:
        say(f"no room for: {', '.join(columns)}; {rules}--json has all")


def _print_others(entries: "Sequence[LeaderboardRow]") -> None:
    """Print the studies, the ablations and what is unfinished or unreadable."""
    if not entries:
        return
    columns = ["not ranked", "kind", "state", "begun", "valid AUC"]
    rows = [[e.name, e.kind, _state(e), _date(e.began), cell(e.valid)] for e in entries]
    if not any(e.valid for e in entries):
        columns = columns[:-1]
        rows = [row[:-1] for row in rows]
    least = ["valid AUC", "kind", "begun"]
    _say_hidden(print_fitting(columns, rows, least, wraps=columns.index("state")))


def print_fitting(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    least: Sequence[str],
    wraps: int | None = None,
) -> list[str]:
    """Print a table of the columns that fit the terminal; returns the names of the others.

    Without a terminal all of them do.

    ``least`` are the columns that may be left out, the first one first. The text in the column
    ``wraps`` is wrapped, down to :data:`_NARROW` characters.
    """
    width, kept = room(), list(range(len(columns)))
    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    if wraps is not None:
        widths[wraps], whole = min(widths[wraps], _NARROW), widths[wraps]
    for name in least:
        if sum(widths[i] + _PADDING for i in kept) <= width:
            break
        if name in columns:
            kept.remove(columns.index(name))
    if wraps is not None:
        left = width - sum(widths[i] + _PADDING for i in kept if i != wraps) - _PADDING
        most = int(min(max(left, _NARROW), whole))
        rows = [_wrapped_cell(row, wraps, most) for row in rows]
    left = 1 if wraps is None else kept.index(wraps) + 1
    table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows], left=left)
    return [name for i, name in enumerate(columns) if i not in kept]


def _wrapped_cell(row: Sequence[str], index: int, width: int) -> list[str]:
    cells = list(row)
    cells[index] = "\n".join(textwrap.wrap(cells[index], width, break_on_hyphens=False))
    return cells


def _state(entry: "LeaderboardRow") -> str:
    """What a study or ablation holds, or how far it is and whether a process is at work on it."""
    if not entry.unfinished:
        return entry.state or entry.progress
    return f"{entry.progress or 'unfinished'}; {'running' if entry.alive else 'stopped'}"


def _date(began: str | None) -> str:
    """The day, by this machine's clock; of another year only the month."""
    if began is None:
        return "-"
    day, now = datetime.fromisoformat(began).astimezone(), datetime.now().astimezone()
    return f"{day:%m-%d}" if day.year == now.year else f"{day:%Y-%m}"


def _best_kept(verdicts: "Mapping[str, list[RuleVerdict]]") -> list[str]:
    """The runs, those that keep the rules of most tasks then by fewest breaches."""

    def order(name: str) -> tuple[int, int, int]:
        words = [each.verdict for each in verdicts[name]]
        breaches = sum(len(each.breaches) for each in verdicts[name])
        return -words.count("kept"), words.count("breached"), breaches

    return sorted(verdicts, key=order)


def _elsewhere(runs: Path) -> str:
    """A hint at runs of the demo or of MMCTR_KIT_RUNS; empty if there are none."""
    from mmctr_kit.runs.run import all_runs

    for place in (os.environ.get("MMCTR_KIT_RUNS"), "demo/runs"):
        if place and Path(place) != runs and all_runs(Path(place)):
            return f"; {place} has some: mmctr-kit runs --runs {shlex.quote(place)}"
    return ""


def _times(entry: "LeaderboardRow") -> list[str]:
    """Seconds in all, and what share of them each phase took."""
    phases, total = entry.phases or {}, entry.seconds or 0.0
    shares = [f"{100 * s / total:.0f} %" if total else "-" for s in phases.values()]
    return [entry.name, f"{total:,.1f}", *shares]


def _json(entry: "LeaderboardRow", rules: Rules) -> dict[str, Any]:
    of_tasks = {v.task.value: v for v in rules.get(entry.name, ())}
    return vars(entry) | {"seconds": entry.seconds, "rules": of_tasks}


def _row(entry: "LeaderboardRow", with_test: bool, rules: Rules) -> list[str]:
    from mmctr_kit.submission.verdicts import compact

    name = f"{entry.name} {TRANSDUCTIVE}" if entry.transductive else entry.name
    behind = "" if entry.behind is None else entry.behind.compact(signed=True)
    keeps = compact(rules[entry.name]) if entry.name in rules else ""
    if with_test:
        of_oracle = "" if entry.kept is None else entry.kept.percent()
        scores = [cell(entry.valid), behind, cell(entry.test), of_oracle]
        return [name, *scores, keeps, _date(entry.began)]
    seeds = str(entry.seeds) if entry.kind == "cv" else entry.kind
    scores = [cell(entry.oof), cell(entry.valid), behind, seeds]
    return [name, *scores, keeps, _date(entry.began)]
