"""``mmctr-kit submit`` and ``mmctr-kit score``: write, check and score submission files."""

from pathlib import Path
from typing import Annotated

from typer import Option

from mmctr_kit.cli import options
from mmctr_kit.cli.output import finite, print_json, report, say, say_path, warn
from mmctr_kit.errors import plural


def submit(
    run: Annotated[str, options.run_argument("RUN|FILE", "A run; with --check, a file.")],
    task: Annotated[options.Task | None, Option(help="Column to write; both is Task1&2.")] = None,
    out: Annotated[Path | None, Option(help="Default: submissions/RUN-TASK.zip.")] = None,
    check: Annotated[
        bool, Option("--check", help="Check FILE as the organisers would; write nothing.")
    ] = False,
    data: Annotated[
        Path | None, Option(help="With --check: the data of FILE; default: the challenge's.")
    ] = None,
    spec: Annotated[
        Path | None,
        Option(help="With --check: YAML of another contest's format; default: the challenge's."),
    ] = None,
    strict: options.Strict = False,
    as_json: options.Json = False,
    force: options.Force = False,
    runs: options.Runs = options.RUNS,
    ledger: options.Ledger = options.LEDGER,
    _list: options.ListChecks = False,
) -> None:
    """Write a run's test predictions as a submission, or check a submission.

    A submission that is written is recorded in the ledger (see 'mmctr-kit ledger'), which counts
    the day's attempts (UTC) of its task, and warns if there are more than five. A run that breaks
    the task's rules is written too, with a WARN for each breach; --strict then exits 1.

    A check exits 1 if the organisers might not score the file. A doubt is a WARN and exits 0.

    [bold]Examples[/bold]

      mmctr-kit submit mix --task both
      mmctr-kit submit --check submissions/mix-both.zip --data DATA
      mmctr-kit submit --check submissions/mix-both.zip --spec contest.yaml
      mmctr-kit submit --check demo/blend-both.zip --data demo/data --runs demo/runs
    """
    from mmctr_kit.api import submission as api
    from mmctr_kit.errors import UsageError

    if check:
        if task is not None or out is not None:
            raise UsageError("--check takes a FILE and writes nothing; leave out --task and --out")
        result = api.check_submission(run, data=data, runs=runs, spec=spec)
        report(result.findings, strict, as_json)
    if Path(run).is_file():
        raise UsageError(f"'{run}' is a file, not a run; to check a submission add --check")
    api.refuse_absent_file(run, runs)
    if data is not None or spec is not None:
        option = "--spec" if data is None else "--data"
        raise UsageError(f"{option} goes with --check; leave it out")
    if task is None:
        raise UsageError("--task is missing; expected Task1, Task2 or both")
    made = api.write_submission(run, task, out=out, force=force, runs=runs, ledger=ledger)
    if not as_json:
        say_path("wrote ", made.path, f": {plural(made.rows, 'row')}, column {made.task}")
        if made.transductive:
            say("transductive: each row is scored by the rows beside it (see 'mmctr-kit runs')")
        say(str(made.rules))
        if made.recorded is not None:
            say(f"recorded in {ledger}" if made.recorded else f"recorded in {ledger} before")
        for finding in made.check.findings:
            if finding.id == "daily-attempts" and not finding.todo:
                say(finding.what)
    if made.refused:
        warn(made.refused)
    report(made.check.findings, strict, as_json, quiet=True)


def score(
    source: Annotated[str, options.run_argument("FILE|RUN", "A submission or a run.")],
    labels: Annotated[Path, Option(help="Parquet or CSV with ID and label.")],
    task: Annotated[
        options.Task | None, Option(help="Column of FILE to score, if several hold scores.")
    ] = None,
    data: Annotated[
        Path | None, Option(help="Data of FILE: its users give the right standard error.")
    ] = None,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Compute the AUC of a submission or a run, if you have the test labels.

    [bold]Examples[/bold]

      mmctr-kit score demo/blend-both.zip --labels demo/truth/test_labels.parquet
      mmctr-kit score blend --runs demo/runs --labels demo/truth/test_labels.parquet --json
    """
    from mmctr_kit.api.submission import score_and_notes

    result, notes = score_and_notes(source, labels, task, data, runs)
    if as_json:
        print_json(finite({"auc": result.value, "se": result.se, "n": result.n}))
        return
    note = f" ({'; '.join(notes)})" if notes else ""
    say(f"AUC {result} on {plural(result.n, 'row')}{note}")
