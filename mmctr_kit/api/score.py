"""Score submissions and runs from Python, if there are labels."""

from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.api.preflight import AnyPath
from mmctr_kit.errors import UsageError, plural

if TYPE_CHECKING:
    from mmctr_kit.metrics.estimate import Estimate
    from mmctr_kit.runs.run import Run


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
    notes: list[str] = []
    if isinstance(source, str | Path) and Path(source).is_file():
        content = read_scores(Path(source))
        ids, values = content.ids, scoring.task_column(content, scoring.column_name(task))
        if data is not None:
            users = load(Path(data)).test.user_id
            if len(users) != len(ids):
                rows = plural(len(users), "test row")
                notes.append(f"{data} has {rows}, the file {len(ids):,}: it is of other data")
                users = None
    elif task is not None:
        raise UsageError(
            f"no submission file at '{source}'; --task chooses a column of one, a run has one score"
        )
    else:
        predictions = open_run(source, runs).predictions()
        values, users = predictions.test_mean(), predictions.test_keys.user_id
        ids = np.arange(len(values))
    result = scoring.score(ids, values, known, users)
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
