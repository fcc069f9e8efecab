"""``mmctr-kit runs``: the leaderboard."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import cell, finite, print_json, say, table

if TYPE_CHECKING:
    from mmctr_kit.metrics.estimate import Estimate
    from mmctr_kit.runs.leaderboard import LeaderboardRow


TRANSDUCTIVE = "[T]"
"""Marks a run whose score of a row depends on the rows beside it."""


def runs(
    runs: options.Runs = options.RUNS,
    truth: Annotated[
        Path | None,
        Option(help="Truth folder of generated data: adds test AUC and the oracle."),
    ] = None,
    times: Annotated[
        bool, Option("--time", help="Show the seconds of each run, by phase of training.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """List the runs, best valid AUC first, each number with its standard error.

    OOF is the fold models' mean AUC; valid is that of the fold mean, a better predictor: the two
    are not one number. "Δ vs best" is the paired difference of valid AUCs. One seed is too few to
    compare recipes. --json has the standard error over seeds too.

    With --truth, "of oracle" is the share that a run's test AUC keeps of the oracle's lead over
    0.5: the oracle is the best score that any model of generated data could have.

    [bold]Examples[/bold]

      mmctr-kit runs
      mmctr-kit runs --time
      mmctr-kit runs --runs demo/runs --truth demo/truth
    """
    from mmctr_kit.cv.fold import PHASES
    from mmctr_kit.runs.leaderboard import leaderboard
    from mmctr_kit.runs.run import all_runs

    entries = leaderboard(all_runs(runs), truth)
    if as_json:
        print_json([finite(vars(e) | {"seconds": e.seconds}) for e in entries])
        return
    if not entries:
        say(f"no runs in {runs} yet; make one with 'mmctr-kit cv'{_elsewhere(runs)}")
        return
    if times:
        table(["run", "seconds", *PHASES], [_times(e) for e in entries if e.phases])
        return
    # 80 columns hold either.
    columns = ["run", "OOF AUC", "valid AUC", "Δ vs best", "seeds", "time"]
    if truth:
        columns = ["run", "valid AUC", "Δ vs best", "test AUC", "of oracle"]
    table(columns, [_row(e, truth is not None) for e in entries])
    for entry in entries:
        if entry.state == "alarm":
            say(f"{entry.name}: OOF and valid disagree; see its metrics.json", style="yellow")
    if any(e.transductive for e in entries):
        say(f"{TRANSDUCTIVE} transductive: scores depend on other rows; compare such runs apart")


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


def _row(entry: "LeaderboardRow", with_test: bool) -> list[str]:
    stopped = entry.state in ("unfinished", "unreadable")
    name = f"{entry.name} ({entry.state})" if stopped else entry.name
    name += f" {TRANSDUCTIVE}" if entry.transductive else ""
    behind = "" if entry.behind is None else entry.behind.compact(signed=True)
    if with_test:
        of_oracle = "" if entry.kept is None else f"{100 * entry.kept:.1f} %"
        return [name, _cell(entry.valid), behind, _cell(entry.test), of_oracle]
    seeds = str(entry.seeds) if entry.kind == "cv" else entry.kind
    seconds = "" if entry.seconds is None else f"{entry.seconds:.0f} s"
    return [name, _cell(entry.oof), _cell(entry.valid), behind, seeds, seconds]


def _cell(auc: "Estimate | None") -> str:
    """An AUC; the oracle's has no standard error."""
    return f"{auc.value:.4f}" if auc is not None and not auc.n else cell(auc)
