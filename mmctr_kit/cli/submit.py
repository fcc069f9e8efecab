"""``mmctr-kit submit`` and ``mmctr-kit score``: write, check and score submission files."""

from pathlib import Path
from typing import Annotated

from typer import Context, Exit, Option

from mmctr_kit.audit.findings import exit_code
from mmctr_kit.cli import options
from mmctr_kit.cli.output import (
    finite,
    print_findings,
    print_json,
    print_yaml,
    report,
    say,
    say_path,
    status,
    warn,
)
from mmctr_kit.errors import plural


def _spec_example(context: Context, wanted: bool) -> None:
    """Print the challenge's spec and end the command."""
    if not wanted:
        return
    from mmctr_kit.submission.spec import SHIPPED

    print_yaml(SHIPPED.read_text("utf-8"), context.params["as_json"])
    raise Exit


def submit(
    context: Context,
    run: Annotated[str, options.run_argument("RUN|FILE", "A run; with --check, a file.")],
    task: Annotated[
        options.Task | None, options.task_option("Column to write; needed without --check.")
    ] = None,
    out: Annotated[Path | None, Option(help="Default: submissions/RUN-TASK.zip.")] = None,
    check: Annotated[
        bool, Option("--check", help="Check FILE as the organisers would; write nothing.")
    ] = False,
    data: Annotated[
        Path | None,
        options.data_option("With --check: the data of FILE; default: the challenge's."),
    ] = None,
    spec: Annotated[
        Path | None,
        # Eager, so that --list sees it in whatever order the two are given.
        Option(
            is_eager=True,
            help="With --check or --list: YAML of another contest's format (see --spec-example); "
            "default: the challenge's.",
        ),
    ] = None,
    _spec_example: Annotated[
        bool,
        Option(
            "--spec-example",
            callback=_spec_example,
            help="Print the challenge's spec, to copy and change.",
        ),
    ] = False,
    strict: options.Strict = False,
    problems: options.Problems = False,
    as_json: options.Json = False,
    force: options.Force = False,
    runs: options.Runs = options.RUNS,
    ledger: options.Ledger = options.LEDGER,
    _list: options.ListChecks = False,
) -> None:
    """Write a run's test predictions as a submission, or check a submission.

    A submission that is written is recorded in the ledger (see 'mmctr-kit ledger'), which counts
    the day's attempts (UTC) of its task, and warns if there are more than five. A run that breaks
    the task's rules is written too, with a WARN for each breach. With --strict nothing is written
    if there is any WARN.

    A check exits 1 if the organisers might not score the file. A doubt is a WARN and exits 0. If
    the ledger knows the file, the rules of its task are checked on its run.

    --json prints the list of findings of a check, and one object for a file that was written.

    [bold]Examples[/bold]

      mmctr-kit submit mix --task both
      mmctr-kit submit --check submissions/mix-both.zip --data DATA
      mmctr-kit submit --check submissions/mix-both.zip --spec contest.yaml
      mmctr-kit submit --check demo/blend-both.zip --data demo/data --runs demo/runs
    """
    from mmctr_kit.api import submission as api
    from mmctr_kit.api.score import refuse_absent_file
    from mmctr_kit.errors import UsageError

    if check:
        if task is not None or out is not None:
            raise UsageError("--check takes a FILE and writes nothing; leave out --task and --out")
        with status(f"checking {run}"):
            result = api.check_submission(run, data=data, runs=runs, spec=spec, ledger=ledger)
        report(result.findings, strict, as_json, problems)
    if Path(run).is_file():
        raise UsageError(f"'{run}' is a file, not a run; to check a submission add --check")
    refuse_absent_file(run, runs)
    with_data = options.typed(context, "data")
    if with_data or spec is not None:
        option = "--data" if with_data else "--spec"
        raise UsageError(f"{option} goes with --check; leave it out")
    if task is None:
        raise UsageError("--task is missing; expected Task1, Task2 or both (Task1&2)")
    with status(f"writing a submission of {run}"):
        made = api.write_submission(
            run,
            task,
            out=out,
            force=force,
            strict=strict,
            runs=runs,
            ledger=ledger,
            progress=lambda _: None,
        )
    if made.refused:
        warn(made.refused)
    if as_json:
        print_json(made.to_json())
    else:
        say_path("wrote ", made.path, f": {plural(made.rows, 'row')}, column {made.task}")
        for line in made.remarks():
            say(line)
        print_findings(made.check.findings, only_problems=True)
    raise Exit(exit_code(made.check.findings, strict))


def score(
    source: Annotated[str, options.run_argument("FILE|RUN", "A submission or a run.")],
    labels: Annotated[Path, Option(help="Parquet or CSV with ID and label.")],
    task: Annotated[
        options.Task | None, options.task_option("Column of FILE to score, if several hold scores.")
    ] = None,
    data: Annotated[
        Path | None,
        options.data_option("Data of FILE: its users give the right standard error."),
    ] = None,
    as_json: options.Json = False,
    runs: options.Runs = options.RUNS,
) -> None:
    """Compute the AUC of a submission or a run, if you have the test labels.

    [bold]Examples[/bold]

      mmctr-kit score demo/blend-both.zip --labels demo/truth/test_labels.parquet
      mmctr-kit score blend --runs demo/runs --labels demo/truth/test_labels.parquet --json
    """
    from mmctr_kit.api.score import score_and_notes

    with status(f"scoring {source}"):
        result, notes = score_and_notes(source, labels, task, data, runs)
    if as_json:
        print_json(finite({"auc": result.value, "se": result.se, "n": result.n}))
        return
    note = f" ({'; '.join(notes)})" if notes else ""
    say(f"AUC {result} on {plural(result.n, 'row')}{note}")
