"""``mmctr-kit ledger``: what was submitted, and what the leaderboard said."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Context, Option, Typer

from mmctr_kit.cli import options
from mmctr_kit.cli.output import cell, finite, print_json, say, table, warn

if TYPE_CHECKING:
    from mmctr_kit.submission.ledger import Standing


app = Typer(invoke_without_command=True)


@app.callback()
def ledger(
    context: Context, as_json: options.Json = False, ledger: options.Ledger = options.LEDGER
) -> None:
    """List the submissions: OOF, valid and leaderboard AUC side by side.

    OOF and valid AUC are the run's when the file was written. If three files of a task have a
    score, Spearman's rank correlation says how well OOF, or valid, ranks them like the leaderboard.

    How many different files were written today (UTC) is compared with the attempts of a day. Which
    of them were uploaded is not known here.

    [bold]Examples[/bold]

      mmctr-kit ledger
      mmctr-kit ledger add submissions/mix-both.zip --auc 0.97
      mmctr-kit ledger --ledger demo/ledger.jsonl --json
    """
    if context.invoked_subcommand is not None:
        return
    from mmctr_kit.submission.ledger import agreements, read_ledger, standings
    from mmctr_kit.submission.spec import challenge

    content = read_ledger(ledger)
    for line in content.damaged:
        warn(line)
    rows = standings(content)
    agreed = agreements(rows)
    today = {task: len(files) for task, files in content.written_today().items()}
    limit = challenge().attempts_per_day
    if as_json:
        print_json(
            {
                "submissions": [finite(vars(r) | {"remark": r.remark}) for r in rows],
                "agreement": [finite(asdict(a)) for a in agreed],
                "written_today": today,
                "attempts_per_day": limit,
                "damaged": list(content.damaged),
            }
        )
        return
    if not rows:
        say(f"nothing in {ledger} yet; 'mmctr-kit submit' records what it writes")
        return
    columns = ("run", "task", "OOF AUC", "valid AUC", "leaderboard", "written")
    table(columns, [_row(r) for r in rows], left=2)
    for remark in dict.fromkeys(r.remark for r in rows):
        if remark:
            say(remark, style="yellow")
    for a in agreed:
        say(
            f"{a.task}: {a.number} ranks {a.n} submissions like the leaderboard by {a.spearman:.2f}"
        )
    for task, written in today.items():
        style = "yellow" if limit is not None and written > limit else ""
        say(f"{task}: {written} of {limit} attempts today (UTC), if you upload them all", style)


@app.command()
def add(
    file: Annotated[Path, Argument(metavar="FILE", help="The submission that was scored.")],
    auc: Annotated[float, Option(help="The leaderboard's score.")],
    task: Annotated[
        options.Task | None, Option(help="Fail if FILE was written for another task.")
    ] = None,
    note: Annotated[str, Option(help="Anything to remember.")] = "",
    as_json: options.Json = False,
    ledger: options.Ledger = options.LEDGER,
) -> None:
    """Record the leaderboard's score of a submission.

    FILE is recognised by its content, whatever its name. A later score replaces an earlier one.

    [bold]Examples[/bold]

      mmctr-kit ledger add submissions/mix-both.zip --auc 0.97 --note "phase 1"
      mmctr-kit ledger add demo/blend-both.zip --auc 0.7845 --ledger demo/ledger.jsonl
    """
    from mmctr_kit.data.contract import Task
    from mmctr_kit.submission.ledger import add_score, read_ledger, standings

    wanted = None if task is None else Task.BOTH if task == "both" else Task(task)
    entry, before = add_score(ledger, file, auc, wanted, note)
    for row in standings(read_ledger(ledger)):
        if (row.sha256, row.run, row.task) == (entry.sha256, entry.run, entry.task) and row.remark:
            warn(row.remark)
    if as_json:
        print_json(finite(asdict(entry)))
        return
    was = "" if before is None or before == auc else f" (was {before:g})"
    say(f"{entry.run} ({entry.task}, written {entry.time[:10]}): leaderboard AUC {auc:g}{was}")


def _row(r: "Standing") -> list[str]:
    score = "-" if r.leaderboard is None else f"{r.leaderboard:g}"
    return [r.run, r.task, cell(r.oof), cell(r.valid), score, r.time[:10]]
