"""``mmctr-kit runs``: the leaderboard."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import cell, finite, print_json, say, table
from mmctr_kit.errors import UsageError

if TYPE_CHECKING:
    from mmctr_kit.metrics.estimate import Estimate
    from mmctr_kit.runs.leaderboard import LeaderboardRow
    from mmctr_kit.submission.verdicts import RuleVerdict

Rules = Mapping[str, "tuple[RuleVerdict, ...]"]
"""Run -> one verdict for each task."""

TRANSDUCTIVE = "[T]"
"""Marks a run whose score of a row depends on the rows beside it."""


def runs(
    runs: options.Runs = options.RUNS,
    truth: Annotated[
        Path | None,
        Option(
            metavar="FOLDER",
            help="Truth folder of generated data: adds test AUC and the oracle.",
        ),
    ] = None,
    times: Annotated[
        bool, Option("--time", help="Show the seconds of each run, by phase of training.")
    ] = False,
    rules: Annotated[
        bool, Option("--rules", help="Show which rules each run breaks; runs that keep most first.")
    ] = False,
    task: Annotated[
        options.Task | None, options.task_option("With --rules: one task only.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """List the runs, best valid AUC first, each number with its standard error.

    OOF is the fold models' mean AUC; valid is that of the fold mean, a better predictor: the two
    are not one number. "Δ vs best" is the paired difference of valid AUCs. One seed is too few to
    compare recipes. --json has the standard error over seeds too.

    "rules" names the tasks whose rules the run keeps, such as 2 1&2 for Task2 and Task1&2; a
    question mark is for what the organisers' page leaves unclear. See --rules.

    With --truth, "oracle" is the share that a run's test AUC keeps of the oracle's lead over
    0.5: the oracle is the best score that any model of generated data could have.

    [bold]Examples[/bold]

      mmctr-kit runs
      mmctr-kit runs --time
      mmctr-kit runs --rules --task Task2
      mmctr-kit runs --runs demo/runs --truth demo/truth
    """
    from mmctr_kit.cv.fold import PHASES
    from mmctr_kit.data.contract import Task
    from mmctr_kit.runs.leaderboard import leaderboard
    from mmctr_kit.runs.run import all_runs
    from mmctr_kit.submission.score import column_name
    from mmctr_kit.submission.verdicts import check_run

    if task is not None and not rules:
        raise UsageError("--task goes with --rules; add it")
    folders = all_runs(runs)
    entries = leaderboard(folders, truth)
    verdicts = {run.name: check_run(run, runs) for run in folders if run.finished}
    if as_json:
        print_json([finite(_json(e, verdicts)) for e in entries])
        return
    if not entries:
        say(f"no runs in {runs} yet; make one with 'mmctr-kit cv'{_elsewhere(runs)}")
        return
    if times:
        table(["run", "seconds", *PHASES], [_times(e) for e in entries if e.phases])
        return
    if rules:
        wanted = [column] if (column := column_name(task)) else [*Task]
        shown = {n: [v for v in each if v.task in wanted] for n, each in verdicts.items()}
        table(["run", *wanted], [[n, *map(str, shown[n])] for n in _best_kept(shown)], left=4)
        say("'mmctr-kit submit --list' explains the rules")
        return
    # 80 columns hold either.
    columns = ["run", "OOF AUC", "valid AUC", "Δ vs best", "seeds", "rules"]
    if truth:
        columns = ["run", "valid AUC", "Δ vs best", "test AUC", "oracle", "rules"]
    table(columns, [_row(e, truth is not None, verdicts) for e in entries])
    for entry in entries:
        if entry.state == "alarm":
            say(f"{entry.name}: OOF and valid disagree; see its metrics.json", style="yellow")
    if any(e.transductive for e in entries):
        say(f"{TRANSDUCTIVE} transductive: scores depend on other rows; compare such runs apart")


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
    if entry.state in ("unfinished", "unreadable"):
        return [name, entry.state, "", "", "", ""]
    behind = "" if entry.behind is None else entry.behind.compact(signed=True)
    keeps = compact(rules[entry.name]) if entry.name in rules else ""
    if with_test:
        of_oracle = "" if entry.kept is None else f"{100 * entry.kept:.1f} %"
        return [name, _cell(entry.valid), behind, _cell(entry.test), of_oracle, keeps]
    seeds = str(entry.seeds) if entry.kind == "cv" else entry.kind
    return [name, _cell(entry.oof), _cell(entry.valid), behind, seeds, keeps]


def _cell(auc: "Estimate | None") -> str:
    """An AUC; the oracle's has no standard error."""
    return f"{auc.value:.4f}" if auc is not None and not auc.n else cell(auc)
