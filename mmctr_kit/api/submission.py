"""Write and check submissions from Python."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmctr_kit.api.preflight import AnyPath
from mmctr_kit.api.progress import Progress, ProgressEvent, listening
from mmctr_kit.api.results import CheckResult
from mmctr_kit.api.rules import RulesResult, check_rules, find_task, rules_of_file
from mmctr_kit.audit.findings import as_json
from mmctr_kit.data.contract import Task
from mmctr_kit.errors import MmctrKitError, UsageError, plural

if TYPE_CHECKING:
    from mmctr_kit.audit.findings import Finding
    from mmctr_kit.runs.run import Run


@dataclass(frozen=True, repr=False)
class Submission:
    """A submission file that was written, with the findings of its check; prints as a few lines.

    ``recorded``: whether the ledger now holds it for the first time; None if the ledger could not
    be written, for the reason ``refused``. ``attempt``: which of the task's files of today (UTC) it
    is, from 1, as the ledger has them; None if it was written before today, or not recorded.
    ``new_ledger``: whether the file ``ledger`` was made for it.
    """

    path: Path
    task: str
    rows: int
    check: CheckResult
    rules: RulesResult
    transductive: bool
    recorded: bool | None
    refused: str = ""
    attempt: int | None = None
    ledger: Path = Path("submissions/ledger.jsonl")
    new_ledger: bool = False

    def __str__(self) -> str:
        """What was written and recorded, and which rules it keeps, in one line each."""
        lines = [f"wrote {self.path}: {plural(self.rows, 'row')}, column {self.task}"]
        return "\n".join([*lines, *self.remarks()])

    def __repr__(self) -> str:
        return f"Submission('{self.check}', {self.task})"

    def remarks(self) -> list[str]:
        """The lines after the first: rules, ledger, the day's attempts."""
        lines = [str(self.rules)]
        if self.transductive:
            text = "transductive: each row is scored by the rows beside it (see 'mmctr-kit runs')"
            lines.insert(0, text)
        if self.recorded is not None:
            where = f"in the new ledger {self.ledger}" if self.new_ledger else f"in {self.ledger}"
            lines.append(f"recorded {where}" + ("" if self.recorded else " before"))
        passed = (f for f in self.check if f.id == "daily-attempts" and not f.todo)
        return [*lines, *(finding.what for finding in passed)]

    def to_json(self) -> dict[str, Any]:
        return {
            "file": str(self.path),
            "task": self.task,
            "rows": self.rows,
            "rules": {each.task.value: each.to_json() for each in self.rules.tasks},
            "attempt": self.attempt,
            "checks": as_json(self.check.findings),
        }

    def _repr_html_(self) -> str:
        return self.check._repr_html_()


def write_submission(
    run: "AnyPath | Run",
    task: str,
    *,
    out: AnyPath | None = None,
    force: bool = False,
    strict: bool = False,
    runs: AnyPath = "runs",
    ledger: AnyPath = "submissions/ledger.jsonl",
    progress: Progress = None,
) -> Submission:
    """Write a run's test predictions as a submission, check it, and record it in the ledger.

    A run that breaks the task's rules, or may break them, is written with one warning; so is one
    file more than a day has attempts.

    Parameters
    ----------
    run : str, Path or Run
        The run or blend to submit.
    task : str
        ``"Task1"``, ``"Task2"`` or ``"both"`` (the column ``Task1&2``), in any case.
    out : str or Path, optional
        The zip; by default ``submissions/RUN-TASK.zip``.
    force : bool
        Replace a different file of that name.
    strict : bool
        Raise instead of that warning, or if the check of the file finds anything, and write
        nothing.
    runs : str or Path
        Folder of the run folders.
    ledger : str or Path
        Where submissions are recorded.
    progress : bool or callable
        As in :func:`cross_validate`: a callable gets the warning in place of Python's warnings.

    Returns
    -------
    Submission
        ``path`` of the file, ``check`` with the findings, breaches of the task's rules among
        them, and ``rules`` as :func:`check_rules` returns them. A breach is a WARN.

    Raises
    ------
    UsageError
        For an unknown run or task, or a file that cannot be written.
    MmctrKitError
        If ``strict``, and there would be a warning, or a finding of the check.

    Examples
    --------
    >>> events = []
    >>> submission = mmctr_kit.write_submission("both", "Task2", progress=events.append)
    >>> submission.path.name, submission.rows, submission.check.ok
    ('both-Task2.zip', 400, True)
    >>> print(*(event.text.partition(" (")[0] for event in events))
    submissions/both-Task2.zip: breaks the rule of Task2: one model, no blend of several
    """
    import hashlib
    import tempfile

    import numpy as np

    from mmctr_kit.api.runs import open_run
    from mmctr_kit.audit.findings import Log, problems
    from mmctr_kit.submission.check import TestRows
    from mmctr_kit.submission.check import check_submission as check
    from mmctr_kit.submission.checks.catalog import BY_LEDGER
    from mmctr_kit.submission.ledger import check_attempts, record, require_attempt
    from mmctr_kit.submission.write import submission_bytes, write_bytes

    column, opened, book = find_task(task), open_run(run, runs), Path(ledger)
    short = "both" if column is Task.BOTH else column.value
    path = Path("submissions") / f"{opened.name}-{short}.zip" if out is None else Path(out)
    if path.resolve() == book.resolve():
        raise UsageError(f"'{path}' cannot be the submission and the ledger; name two files")
    predictions = opened.predictions()
    keys = predictions.test_keys
    rules = check_rules(opened, runs=runs)
    breaches = rules.findings(column)
    if strict:
        _require_none(opened.name, breaches)
    content = submission_bytes(np.arange(len(keys)), {column: predictions.test_mean()})
    rows = TestRows(len(keys), item_id=np.asarray(keys.item_id, np.int64))
    if strict:
        require_attempt(book, hashlib.sha256(content).hexdigest(), column)
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / path.name
            write_bytes(draft, content)
            _require_none(opened.name, problems(check(draft, test=rows)))
    write_bytes(path, content, overwrite=force)
    findings = [*check(path, test=rows), *breaches]
    recorded, attempt, refused, log = None, None, "", Log(BY_LEDGER)
    new_ledger = not book.exists()
    try:
        recorded = record(book, path, opened, column, len(keys))
        attempt = check_attempts(book, path, column, log)
    except UsageError as e:  # the file stays written
        refused = str(e)
    attempts = log.findings()
    _warn(path, [*breaches, *(f for f in attempts if f.todo)], progress)
    return Submission(
        path,
        column.value,
        len(keys),
        CheckResult(path, (*findings, *attempts)),
        rules,
        opened.manifest.transductive,
        recorded,
        refused,
        attempt,
        book,
        new_ledger and recorded is not None,
    )


def _require_none(name: str, findings: "Sequence[Finding]") -> None:
    if findings:
        raise MmctrKitError(f"{name}: {_joined(findings)}; nothing was written")


def _joined(findings: "Sequence[Finding]") -> str:
    return "; ".join(finding.what for finding in findings)


def _warn(path: Path, findings: "Sequence[Finding]", progress: Progress) -> None:
    if findings:
        with listening(progress) as listen:
            listen(ProgressEvent("warning", f"{path}: {_joined(findings)}"))


def check_submission(
    file: AnyPath,
    *,
    data: AnyPath | None = None,
    runs: AnyPath = "runs",
    spec: AnyPath | None = None,
    ledger: AnyPath = "submissions/ledger.jsonl",
) -> CheckResult:
    """Check whether the organisers would accept a file, and whether it is likely what you meant.

    If the ledger knows the file, the rules of its task are checked on its run.

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
    ledger : str or Path
        Where submissions are recorded, with run and task.

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
    from mmctr_kit.runs.seal import noting_damage
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
        if not run.finished:
            continue
        with noting_damage(f"the file is not compared with {run.name}"):
            scores = run.test_scores()
            if test is None and len(scores) == accepted.ids.n_rows:
                keys = run.predictions(with_oof=False).test_keys
                test = TestRows(len(scores), item_id=np.asarray(keys.item_id, np.int64))
            if test is None or len(scores) == test.n_rows:
                references.append(Reference(run.name, scores))
    findings = check(Path(file), test=test, references=references, spec=accepted)
    if foreign:
        what = "it and rows-aligned need --data for another contest's IDs"
        findings.append(Finding("rank-correlation", Level.SKIP, what, ""))
    if accepted == challenge():
        findings += rules_of_file(Path(file), Path(ledger), Path(runs))
    return CheckResult(Path(file), tuple(findings))
