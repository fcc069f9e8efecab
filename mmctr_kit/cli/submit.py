"""``mmctr-kit submit`` and ``mmctr-kit score``: write, check and score submission files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmctr_kit.cli.complete import complete_runs
from mmctr_kit.cli.options import (
    LEDGER,
    RUNS,
    ForceOption,
    JsonOption,
    LedgerOption,
    RunsOption,
    StrictOption,
    TaskName,
)
from mmctr_kit.cli.output import print_findings, print_json, say, say_path, warn
from mmctr_kit.errors import plural

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mmctr_kit.audit.findings import Finding
    from mmctr_kit.data.contract import Task
    from mmctr_kit.runs.run import Run


def submit(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN|FILE", help="A run; with --check, a file.", autocompletion=complete_runs
        ),
    ],
    task: Annotated[
        TaskName | None, typer.Option(help="The column to write; both is Task1&2.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="By default submissions/RUN-TASK.zip.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check FILE as the organisers would; write nothing.")
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="With --check: the data FILE is for; else the challenge.")
    ] = None,
    strict: StrictOption = False,
    as_json: JsonOption = False,
    force: ForceOption = False,
    runs: RunsOption = RUNS,
    ledger: LedgerOption = LEDGER,
) -> None:
    """Write a run's test predictions as a submission, or check a submission.

    What is written is recorded in the ledger (see 'mmctr-kit ledger').

    A check exits 1 for anything the organisers might not score; doubts are WARN and exit 0.

    [bold]Examples[/bold]

      mmctr-kit submit mix --task both

      mmctr-kit submit --check submissions/mix-both.zip --data DATA

      mmctr-kit submit --check demo/blend-both.zip --data demo/data --runs demo/runs
    """
    from mmctr_kit.errors import UsageError

    if check:
        if task is not None or out is not None:
            raise UsageError("--check takes a FILE and writes nothing; leave --task and --out out")
        _report(_check(Path(run), data, runs), strict, as_json)
        return
    if Path(run).is_file():
        raise UsageError(f"'{run}' is a file, not a run; to check a submission add --check")
    _refuse_absent_file(run, runs)
    if data is not None:
        raise UsageError("--data goes with --check; leave it out")
    if task is None:
        raise UsageError("--task is missing; expected Task1, Task2 or both")
    import numpy as np

    from mmctr_kit.data.contract import Task
    from mmctr_kit.runs.run import open_run
    from mmctr_kit.submission.check import TestRows, check_submission
    from mmctr_kit.submission.checks.rules import run_findings
    from mmctr_kit.submission.write import write_submission

    opened = open_run(run, runs)
    found = opened.predictions()
    path = out or Path("submissions") / f"{opened.name}-{task}.zip"
    column = Task.BOTH if task == "both" else Task(task)
    ids = np.arange(len(found.test_keys))
    write_submission(path, ids, {column: found.test_mean()}, overwrite=force)
    keys = found.test_keys
    rows = TestRows(len(keys), item_id=np.asarray(keys.item_id, np.int64))
    findings = [*check_submission(path, test=rows), *run_findings(opened, runs, column)]
    if not as_json:
        say_path("wrote ", path, f": {plural(len(keys), 'row')}, column {column.value}")
        if opened.manifest.transductive:
            say("transductive: each row is scored by the rows beside it (see 'mmctr-kit runs')")
    _record(ledger, path, opened, column, as_json)
    _report(findings, strict, as_json, quiet=True)


def _refuse_absent_file(source: str, runs: Path) -> None:
    """What ends like a file, where there is neither that file nor a run of that name."""
    from mmctr_kit.errors import UsageError

    places = (Path(source), runs / source)
    if Path(source).suffix.lower() in (".zip", ".csv") and not any(p.exists() for p in places):
        raise UsageError(f"no file '{source}'; expected a submission's path or a run's name")


def _record(ledger: Path, path: Path, run: "Run", task: "Task", quiet: bool) -> None:
    """A file that is written stays written: a ledger that refuses is a warning."""
    from mmctr_kit.errors import UsageError
    from mmctr_kit.submission.ledger import record

    try:
        new = record(ledger, path, run, task, len(run.test_scores()))
    except UsageError as e:
        warn(str(e))
        return
    if not quiet:
        say(f"recorded in {ledger}" if new else f"recorded in {ledger} before")


def score(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|RUN", help="A submission or a run.", autocompletion=complete_runs
        ),
    ],
    labels: Annotated[Path, typer.Option(help="Parquet or CSV with ID and label.")],
    task: Annotated[
        TaskName | None, typer.Option(help="Which column of FILE, where several hold scores.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Names the users of FILE's rows, for the error.")
    ] = None,
    as_json: JsonOption = False,
    runs: RunsOption = RUNS,
) -> None:
    """AUC of a submission or a run where someone has the test labels.

    [bold]Examples[/bold]

      mmctr-kit score demo/blend-both.zip --labels demo/truth/test_labels.parquet

      mmctr-kit score blend --runs demo/runs --labels demo/truth/test_labels.parquet --json
    """
    import numpy as np

    from mmctr_kit.errors import UsageError
    from mmctr_kit.submission import score as scoring
    from mmctr_kit.submission.check import read_scores

    _refuse_absent_file(source, runs)
    known = scoring.read_labels(labels)
    users: NDArray[np.int64] | None
    if Path(source).is_file():
        content = read_scores(Path(source))
        values = scoring.task_column(content, "Task1&2" if task == "both" else task)
        ids, users = content.ids, None if data is None else _test_users(data)
    elif task is not None:
        raise UsageError(
            f"no submission file at '{source}'; --task chooses a column of one, a run has one score"
        )
    else:
        from mmctr_kit.runs.run import open_run

        found = open_run(source, runs).predictions()
        values, users = found.test_mean(), found.test_keys.user_id
        ids = np.arange(len(values))
    result = scoring.score(ids, values, known, users)
    if as_json:
        error = None if np.isnan(result.se) else result.se
        print_json({"auc": result.value, "se": error, "n": result.n})
        return
    note = "" if users is not None else " (rows taken as independent; --data names their users)"
    if result.n < len(ids):
        note += f"; {plural(len(ids) - result.n, 'score has', 'scores have')} no label"
    say(f"AUC {result} on {plural(result.n, 'row')}{note}")


def _test_users(data: Path) -> "NDArray[np.int64]":
    from mmctr_kit.data.load import load

    return load(data).test.user_id


def _check(path: Path, data: Path | None, runs: Path) -> list["Finding"]:
    import numpy as np

    from mmctr_kit.data.contract import FILES
    from mmctr_kit.runs.run import all_runs
    from mmctr_kit.submission.check import Reference, TestRows, check_submission

    test = None
    if data is not None:
        from mmctr_kit.data.load import targets_of_test

        item, popularity, rate = targets_of_test(data)
        test = TestRows(len(item), item_id=item, popularity=popularity, rate=rate)
    references = []
    for run in all_runs(runs):
        if run.finished:
            scores = run.test_scores()
            if test is None and len(scores) == FILES["test"].known_rows:
                keys = run.predictions(with_oof=False).test_keys
                test = TestRows(len(scores), item_id=np.asarray(keys.item_id, np.int64))
            if test is None or len(scores) == test.n_rows:
                references.append(Reference(run.name, scores))
    return check_submission(path, test=test, references=references)


def _report(findings: list["Finding"], strict: bool, as_json: bool, quiet: bool = False) -> None:
    from mmctr_kit.audit import findings as levels

    if as_json:
        print_json(levels.as_json(findings))
    else:
        print_findings(findings, quiet_pass=quiet)
    raise typer.Exit(levels.exit_code(findings, strict))
