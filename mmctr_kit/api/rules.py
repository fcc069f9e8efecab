"""Which tasks' rules a run keeps, from Python."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.api.preflight import AnyPath
from mmctr_kit.api.results import frame, html
from mmctr_kit.audit.findings import Finding, Log
from mmctr_kit.data.contract import Task
from mmctr_kit.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from mmctr_kit.runs.run import Run
    from mmctr_kit.submission.verdicts import RuleVerdict


@dataclass(frozen=True, repr=False)
class RulesResult:
    """What the organisers' rules say of a run, for each task; prints as one line."""

    run: str
    tasks: tuple["RuleVerdict", ...]

    @property
    def verdicts(self) -> dict[str, str]:
        """Task -> ``"kept"``, ``"breached"`` or ``"unclear"``."""
        return {each.task.value: each.verdict for each in self.tasks}

    def findings(self, task: str) -> tuple[Finding, ...]:
        """One WARN for each rule that the run breaks, or may break, as an entry of a task."""
        return tuple(b.finding for each in self.tasks if each.task == task for b in each.breaches)

    def table(self) -> "pd.DataFrame":
        """A row for each task and breach: task, verdict, rule, what, todo."""
        rows = [
            {"task": each.task.value, "verdict": each.verdict}
            | {"rule": breach.rule.id, "what": str(breach), "todo": breach.rule.todo}
            for each in self.tasks
            for breach in each.breaches
        ]
        return frame(rows, ("task", "verdict", "rule", "what", "todo"))

    def __str__(self) -> str:
        from mmctr_kit.submission.verdicts import summary

        return f"{self.run}: {summary(self.tasks)}"

    def __repr__(self) -> str:
        return f"RulesResult('{self}')"

    def _repr_html_(self) -> str:
        return html(str(self), self.table())


def check_rules(
    run: "AnyPath | Run", task: str | None = None, *, runs: AnyPath = "runs"
) -> RulesResult:
    """Check which tasks' rules a run keeps; a blend is checked through all its runs.

    Parameters
    ----------
    run : str, Path or Run
        The run or blend.
    task : str, optional
        The task whose verdict is wanted; by default every task's.
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
        If there is no such run or task.
    RunError
        If it is unfinished.

    Examples
    --------
    >>> rules = mmctr_kit.check_rules("both")
    >>> print(rules)
    both: rules kept: none; unclear: Task1&2; breached: Task1, Task2
    >>> rules.table().query("task == 'Task2'").rule.tolist()
    ['blend', 'averaged', 'given-embedding']
    >>> mmctr_kit.check_rules("both", "Task2").verdicts
    {'Task2': 'breached'}
    """
    from mmctr_kit.api.runs import open_run
    from mmctr_kit.submission.verdicts import check_run

    wanted = list(Task) if task is None else [find_task(task)]
    opened = open_run(run, runs)
    verdicts = check_run(opened, Path(runs))
    return RulesResult(opened.name, tuple(each for each in verdicts if each.task in wanted))


def find_task(name: str) -> Task:
    """The task of a name as a user writes it, such as ``both`` or ``task2``."""
    from mmctr_kit.submission.score import column_name

    column = column_name(name)
    if column not in list(Task):
        raise UsageError(f"no task {name!r}; expected Task1, Task2 or both (Task1&2)")
    return Task(column)


def rules_of_file(file: Path, ledger: Path, runs: Path) -> list[Finding]:
    """What the rules say of a submission, by the run and the task that the ledger has for it."""
    from mmctr_kit.submission.checks.catalog import BY_LEDGER
    from mmctr_kit.submission.ledger import read_ledger

    log = Log(BY_LEDGER)
    try:
        entry = read_ledger(ledger).find(file)
    except UsageError as e:
        log.passed("rules", f"not checked: {e}")
        return log.findings()
    if entry is None:
        log.passed("rules", f"not checked: '{file}' is not in the ledger {ledger}")
        return log.findings()
    # Only now: it loads the schema of recipes, which takes a third of the time of a check.
    from mmctr_kit.submission.verdicts import recorded_verdict

    known, verdict = f"run {entry.run} for {entry.task}, by {ledger}", recorded_verdict(entry, runs)
    if isinstance(verdict, str):
        todo = "check yourself that it keeps the task's rules, or give the --runs that has the run"
        log.warn("rules", f"{known}; {verdict}: its rules cannot be checked", todo)
        return log.findings()
    log.passed("rules", f"{known}: {'each doubt is named' if verdict.breaches else verdict}")
    return [*log.findings(), *(breach.finding for breach in verdict.breaches)]
