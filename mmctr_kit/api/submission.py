"""Write, check and score submissions from Python."""

from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.api.preflight import AnyPath
from mmctr_kit.api.results import CheckResult, RulesResult, Submission
from mmctr_kit.errors import UsageError, plural

if TYPE_CHECKING:
    from mmctr_kit.metrics.estimate import Estimate
    from mmctr_kit.runs.run import Run


def write_submission(
    run: "AnyPath | Run",
    task: str,
    *,
    out: AnyPath | None = None,
    force: bool = False,
    runs: AnyPath = "runs",
    ledger: AnyPath = "submissions/ledger.jsonl",
) -> Submission:
    """Write a run's test predictions as a submission, check it, and record it in the ledger.

    Parameters
    ----------
    run : str, Path or Run
        The run or blend to submit.
    task : str
        ``"Task1"``, ``"Task2"`` or ``"both"`` (the column ``Task1&2``).
    out : str or Path, optional
        The zip; by default ``submissions/RUN-TASK.zip``.
    force : bool
        Replace a different file of that name.
    runs : str or Path
        Folder of the run folders.
    ledger : str or Path
        Where submissions are recorded.

    Returns
    -------
    Submission
        ``path`` of the file, ``check`` with the findings, breaches of the task's rules among
        them, and ``rules`` as :func:`check_rules` returns them. A breach is a WARN.

    Raises
    ------
    UsageError
        For an unknown run or task, or a file that cannot be written.

    Examples
    --------
    >>> submission = mmctr_kit.write_submission("both", "Task2")
    >>> submission.path.name, submission.rows, submission.check.ok
    ('both-Task2.zip', 400, True)
    """
    import numpy as np

    from mmctr_kit.api.runs import open_run
    from mmctr_kit.audit.findings import Log
    from mmctr_kit.data.contract import Task
    from mmctr_kit.submission.check import TestRows
    from mmctr_kit.submission.check import check_submission as check
    from mmctr_kit.submission.checks.catalog import ATTEMPTS
    from mmctr_kit.submission.ledger import check_attempts, record
    from mmctr_kit.submission.score import column_name
    from mmctr_kit.submission.write import write_submission as write

    name = column_name(task)
    if name not in list(Task):
        raise UsageError(f"no task {task!r}; expected Task1, Task2 or both")
    opened, column = open_run(run, runs), Task(name)
    predictions = opened.predictions()
    path = Path("submissions") / f"{opened.name}-{task}.zip" if out is None else Path(out)
    keys = predictions.test_keys
    write(path, np.arange(len(keys)), {column: predictions.test_mean()}, overwrite=force)
    rows = TestRows(len(keys), item_id=np.asarray(keys.item_id, np.int64))
    rules = check_rules(opened, runs=runs)
    findings = [*check(path, test=rows), *rules.findings(column)]
    recorded, attempt, refused, log = None, None, "", Log(ATTEMPTS)
    try:
        recorded = record(Path(ledger), path, opened, column, len(keys))
        attempt = check_attempts(Path(ledger), path, column, log)
    except UsageError as e:  # the file stays written
        refused = str(e)
    result = CheckResult(path, (*findings, *log.findings()))
    transductive = opened.manifest.transductive
    return Submission(
        path, column.value, len(keys), result, rules, transductive, recorded, refused, attempt
    )


def check_rules(run: "AnyPath | Run", *, runs: AnyPath = "runs") -> RulesResult:
    """Check which tasks' rules a run keeps; a blend is checked through all its runs.

    Parameters
    ----------
    run : str, Path or Run
        The run or blend.
    runs : str or Path
        Folder of the run folders.

    Returns
    -------
    RulesResult
        A verdict for each task: ``"kept"``, ``"breached"`` if the organisers' page forbids
        something that the run has, or ``"unclear"`` if the page does not say.

    Raises
    ------
    UsageError
        If there is no such run.
    RunError
        If it is unfinished.

    Examples
    --------
    >>> rules = mmctr_kit.check_rules("both")
    >>> print(rules)
    both: rules kept: none; unclear: Task1&2; breached: Task1, Task2
    >>> rules.table().query("task == 'Task2'").rule.tolist()
    ['blend', 'averaged', 'given-embedding']
    """
    from mmctr_kit.api.runs import open_run
    from mmctr_kit.submission.verdicts import check_run

    opened = open_run(run, runs)
    return RulesResult(opened.name, check_run(opened, Path(runs)))


def check_submission(
    file: AnyPath,
    *,
    data: AnyPath | None = None,
    runs: AnyPath = "runs",
    spec: AnyPath | None = None,
) -> CheckResult:
    """Check whether the organisers would accept a file, and whether it is likely what you meant.

    Parameters
    ----------
    file : str or Path
        A submission.
    data : str or Path, optional
        The data folder that the file is for; the challenge's if left out.
    runs : str or Path
        Folder of runs whose predictions the file is compared with.
    spec : str or Path, optional
        A YAML file with what another contest accepts; the challenge's if left out. With other IDs
        than the challenge's, a file is compared with runs only if ``data`` is given.

    Returns
    -------
    CheckResult
        FAIL: the organisers might not score the file. WARN: they would, but look.

    Raises
    ------
    UsageError
        If there is no such file, or the spec is wrong.

    Examples
    --------
    >>> result = mmctr_kit.check_submission("submissions/both-Task2.zip", data="world/data")
    >>> result.ok
    True
    """
    import numpy as np

    from mmctr_kit.audit.findings import Finding, Level
    from mmctr_kit.data.load import targets_of_test
    from mmctr_kit.runs.run import all_runs
    from mmctr_kit.submission.check import Reference, TestRows
    from mmctr_kit.submission.check import check_submission as check
    from mmctr_kit.submission.spec import challenge, load_spec

    accepted = challenge() if spec is None else load_spec(Path(spec))
    foreign = data is None and accepted.ids != challenge().ids
    test = None
    if data is not None:
        item, popularity, rate = targets_of_test(Path(data))
        test = TestRows(len(item), item_id=item, popularity=popularity, rate=rate)
    references = []
    for run in () if foreign else all_runs(Path(runs)):
        if run.finished:
            scores = run.test_scores()
            if test is None and len(scores) == accepted.ids.n_rows:
                keys = run.predictions(with_oof=False).test_keys
                test = TestRows(len(scores), item_id=np.asarray(keys.item_id, np.int64))
            if test is None or len(scores) == test.n_rows:
                references.append(Reference(run.name, scores))
    findings = check(Path(file), test=test, references=references, spec=accepted)
    if foreign:
        what = "skipped, like rows-aligned: with another contest's IDs they need --data"
        findings.append(Finding("rank-correlation", Level.PASS, what, ""))
    return CheckResult(Path(file), tuple(findings))


def score(
    source: "AnyPath | Run",
    labels: AnyPath,
    *,
    task: str | None = None,
    data: AnyPath | None = None,
    runs: AnyPath = "runs",
) -> "Estimate":
    """AUC of a submission or a run, if you have the test labels.

    Parameters
    ----------
    source : str, Path or Run
        A submission file, or a run.
    labels : str or Path
        Parquet or CSV with ``ID`` and ``label``.
    task : str, optional
        Which column of a submission that has several.
    data : str or Path, optional
        Names the users of a file's rows, for a standard error clustered by user.
    runs : str or Path
        Folder of the run folders.

    Returns
    -------
    Estimate
        The AUC, its standard error, and the number of rows.

    Raises
    ------
    UsageError
        If there is no such file, run or column.
    DataError
        If labels and scores do not match.

    Examples
    --------
    >>> auc = mmctr_kit.score("both", "world/truth/test_labels.parquet")
    >>> auc.n, 0 < auc.value < 1
    (400, True)
    """
    return score_and_notes(source, labels, task, data, runs)[0]


def score_and_notes(
    source: "AnyPath | Run", labels: AnyPath, task: str | None, data: AnyPath | None, runs: AnyPath
) -> "tuple[Estimate, list[str]]":
    """The AUC, and what limits it: unknown users, scores without a label."""
    import numpy as np

    from mmctr_kit.api.runs import open_run
    from mmctr_kit.data.load import load
    from mmctr_kit.submission import score as scoring
    from mmctr_kit.submission.check import read_scores

    refuse_absent_file(source, runs)
    known, users = scoring.read_labels(Path(labels)), None
    if isinstance(source, str | Path) and Path(source).is_file():
        content = read_scores(Path(source))
        ids, values = content.ids, scoring.task_column(content, scoring.column_name(task))
        if data is not None:
            users = load(Path(data)).test.user_id
    elif task is not None:
        raise UsageError(
            f"no submission file at '{source}'; --task chooses a column of one, a run has one score"
        )
    else:
        predictions = open_run(source, runs).predictions()
        values, users = predictions.test_mean(), predictions.test_keys.user_id
        ids = np.arange(len(values))
    result, notes = scoring.score(ids, values, known, users), []
    if users is None:
        notes.append("SE assumes independent rows; pass --data to cluster it by user")
    if result.n < len(ids):
        many = plural(len(ids) - result.n, "score has", "scores have")
        notes.append(f"{many} no label")
    return result, notes


def refuse_absent_file(source: "AnyPath | Run", runs: AnyPath) -> None:
    """Refuse what ends like a file if there is neither that file nor a run of that name."""
    if not isinstance(source, str | Path) or Path(source).suffix.lower() not in (".zip", ".csv"):
        return
    if not any(path.exists() for path in (Path(source), Path(runs) / source)):
        raise UsageError(f"no file '{source}'; expected a submission's path or a run's name")
