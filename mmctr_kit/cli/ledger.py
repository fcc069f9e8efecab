"""``mmctr-kit ledger``: what was submitted, and what the leaderboard said."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, BadParameter, Context, Exit, Option, Typer

from mmctr_kit.cli import options
from mmctr_kit.cli.output import cell, confirmed, finite, print_json, say, table, warn
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    from mmctr_kit.submission.ledger import Standing
    from mmctr_kit.submission.verdicts import RuleVerdict


app = Typer(invoke_without_command=True)


@app.callback()
def ledger(
    context: Context,
    as_json: options.Json = False,
    ledger: options.Ledger = options.LEDGER,
    runs: options.Runs = options.RUNS,
) -> None:
    """List the submissions: OOF, valid and leaderboard AUC side by side.

    OOF and valid AUC are the run's when the file was written. The leaderboard gives no standard
    error. If three files of a task have a score, Spearman's rank correlation says how well OOF, or
    valid, ranks them like the leaderboard.

    How many different files were written today (UTC) is compared with the attempts of a day. Which
    of them were uploaded is not known here.

    "rules" says whether the run keeps the rules of the file's task, if it still is under --runs.

    [bold]Examples[/bold]

      mmctr-kit ledger
      mmctr-kit ledger add submissions/mix-both.zip --auc 0.97
      mmctr-kit ledger --ledger demo/ledger.jsonl --json
    """
    if context.invoked_subcommand is None:
        _show(as_json, ledger, runs)
    given = {"ledger": str(ledger), "as_json": as_json}
    context.default_map = {"add": given, "list": given | {"runs": str(runs)}, "rm": given}


@app.command("list")
def list_(
    as_json: options.Json = False,
    ledger: options.Ledger = options.LEDGER,
    runs: options.Runs = options.RUNS,
) -> None:
    """List the submissions, as 'mmctr-kit ledger' does.

    [bold]Examples[/bold]

      mmctr-kit ledger list
    """
    _show(as_json, ledger, runs)


def _show(as_json: bool, ledger: Path, runs: Path) -> None:
    from mmctr_kit.data.contract import ATTEMPTS_PER_DAY
    from mmctr_kit.submission.ledger import agreements, read_ledger, standings, too_many
    from mmctr_kit.submission.verdicts import recorded_verdict

    content = read_ledger(ledger)
    for line in content.damaged:
        warn(line)
    rows = standings(content)
    agreed = agreements(rows)
    today = {task: len(files) for task, files in content.written_today().items()}
    verdicts = [recorded_verdict(entry, runs) for entry in content.submitted]
    rules = [None if isinstance(verdict, str) else verdict for verdict in verdicts]
    if as_json:
        more = [{"remark": r.remark, "rules": v} for r, v in zip(rows, rules, strict=True)]
        print_json(
            {
                "submissions": [finite(vars(r) | m) for r, m in zip(rows, more, strict=True)],
                "agreement": [finite(asdict(a)) for a in agreed],
                "written_today": today,
                "attempts_per_day": ATTEMPTS_PER_DAY,
                "damaged": list(content.damaged),
            }
        )
        return
    if not rows:
        say(f"nothing in {ledger} yet; 'mmctr-kit submit' records what it writes")
        return
    columns = ("run", "task", "OOF AUC", "valid AUC", "board", "rules", "written")
    table(columns, [_row(r, v) for r, v in zip(rows, rules, strict=True)], left=2)
    for r in rows:
        if r.note:
            say(f"note on {r.run} ({r.task}, {r.time[:10]}): {r.note}")
    for unknown in dict.fromkeys(v for v in verdicts if isinstance(v, str)):
        say(f"rules n/a: {unknown}")
    for remark in dict.fromkeys(r.remark for r in rows):
        if remark:
            say(remark, style="yellow")
    for a in agreed:
        say(
            f"{a.task}: {a.number} ranks {a.n} submissions like the leaderboard by {a.spearman:.2f}"
        )
    for task, written in today.items():
        if written > ATTEMPTS_PER_DAY:
            say(too_many(task, written), style="yellow")
        else:
            of = f"{written} of {ATTEMPTS_PER_DAY} attempts today (UTC)"
            say(f"{task}: {of}, if you upload them all")


def _auc(text: str) -> float:
    try:
        return float(text)
    except ValueError as e:
        point = text.replace(",", ".")
        hint = f"write {point}" if point.replace(".", "", 1).isdigit() else "expected a number"
        raise BadParameter(f"{text!r}: {hint}") from e


@app.command()
def add(
    file: Annotated[Path, Argument(metavar="FILE", help="The submission that was scored.")],
    auc: Annotated[
        float, Option(parser=_auc, metavar="AUC", help="The leaderboard's score, such as 0.97.")
    ],
    task: Annotated[
        options.Task | None, options.task_option("Fail if FILE was written for another task.")
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
    from mmctr_kit.submission.score import column_name

    column = column_name(task)
    entry, before = add_score(ledger, file, auc, Task(column) if column else None, note)
    for row in standings(read_ledger(ledger)):
        if (row.sha256, row.run, row.task) == (entry.sha256, entry.run, entry.task) and row.remark:
            warn(row.remark)
    if as_json:
        print_json(finite(asdict(entry)))
        return
    was = "" if before is None or before == auc else f" (was {before:g})"
    say(f"{entry.run} ({entry.task}, written {entry.time[:10]}): leaderboard AUC {auc:g}{was}")


@app.command()
def rm(
    what: Annotated[
        list[str],
        Argument(metavar="FILE|RUN|SHA256...", help="Files, as recorded; runs; or checksums."),
    ],
    yes: options.Yes = False,
    as_json: options.Json = False,
    ledger: options.Ledger = options.LEDGER,
) -> None:
    """Remove submissions from the ledger, with their scores, after asking.

    The files stay. A submission that was written today counts no more among today's attempts.

    [bold]Examples[/bold]

      mmctr-kit ledger rm submissions/mix-both.zip
      mmctr-kit ledger rm mix --yes
    """
    from mmctr_kit.submission.unrecord import entries_of, remove_entries

    going = entries_of(ledger, what)
    removed = plural(len(going), "submission")
    files = ", ".join(f"{e.file} ({e.run}, {e.task}, {e.time[:10]})" for e in going)
    if not confirmed(f"Remove {removed} from {ledger}: {files}?", yes):
        say("nothing was removed")
        raise Exit(1)
    remove_entries(ledger, going)
    if as_json:
        print_json({"removed": [finite(asdict(e)) for e in going]})
    else:
        say(f"removed {removed} from {ledger}", wrap=False)


def _row(r: "Standing", rules: "RuleVerdict | None") -> list[str]:
    score = "-" if r.leaderboard is None else f"{r.leaderboard:g}"
    verdict = "n/a" if rules is None else rules.verdict
    return [r.run, r.task, cell(r.oof), cell(r.valid), score, verdict, r.time[:10]]
