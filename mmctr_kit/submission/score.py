"""AUC of test scores, for those who have labels: in a course, or on a generated data set."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import Task
from mmctr_kit.data.text_lines import place_of
from mmctr_kit.errors import DataError, UsageError, did_you_mean
from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import whole_numbers
from mmctr_kit.submission.check import Scores

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def read_labels(path: Path) -> tuple[Ints, Ints]:
    """IDs (n,) and labels (n,) 0/1 from a parquet or CSV file with columns ID and label."""
    frame = read_frame(path, "labels")
    ids, labels = (integers(frame, name, path) for name in ("ID", "label"))
    if not np.isin(labels, (0, 1)).all():
        raise DataError(f"{path}: labels must be 0 or 1, not other values")
    if len(np.unique(ids)) != len(ids):
        raise DataError(f"{path} holds an ID twice; expected each once")
    return ids, labels


def read_frame(path: Path, what: str) -> "pd.DataFrame":
    """A parquet or CSV file; UsageError if there is none, DataError if it is unreadable."""
    import pandas as pd

    if not path.is_file():
        raise UsageError(f"no {what} file at '{path}'; expected parquet or CSV")
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        return frame.reset_index(drop=True)
    except Exception as e:  # pandas leaks errors of many kinds on broken input
        why = str(e).strip().partition("\n")[0]
        raise DataError(f"{path} is not a readable parquet or CSV file: {why}") from e


def numbers(frame: "pd.DataFrame", name: str, path: Path) -> NDArray[Any]:
    """(rows,) a column of finite numbers of its own type; DataError if it is not one."""
    if name not in frame.columns:
        found = [str(column) for column in frame.columns]
        near = did_you_mean(name, found).replace("did you mean", "is it")
        raise DataError(f"{path} lacks column {name}{near}; found {', '.join(found)}")
    column = frame[name]
    try:
        values = column.to_numpy(np.float64 if column.hasnans else None)
        values = values if values.dtype.kind in "iubf" else values.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as e:
        raise DataError(f"{_first_text(column, path)}; expected numbers") from e
    if len(bad := np.flatnonzero(~np.isfinite(values))):
        where, value = _place(path, column, bad[0]), values[bad[0]]
        state = "is missing" if np.isnan(value) else f"is {value}"
        raise DataError(f"{path}, {where}: {name} {state}; expected a number")
    return values


def _place(path: Path, column: "pd.Series", row: int) -> str:
    """Where a row of a column is in the file; the column's index is the file's order."""
    return place_of(path, int(column.index[row]))


def _first_text(column: "pd.Series", path: Path) -> str:
    """The first cell of a column that is no number, and where it is; or what the column is."""
    for row, cell in enumerate(column):
        if not _is_number(cell):
            return f"{path}, {_place(path, column, row)}: {column.name} is {str(cell)[:40]!r}"
    return f"{path}: column {column.name} is {column.dtype}"


def _is_number(cell: object) -> bool:
    try:
        return not math.isnan(float(cell))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):  # the last: a whole number of 400 digits
        return False


def integers(frame: "pd.DataFrame", name: str, path: Path) -> Ints:
    """(rows,) a column of whole numbers, whatever its type; DataError if it is not one."""
    try:
        return whole_numbers(numbers(frame, name, path))
    except ValueError as e:
        raise DataError(f"{path}: column {name} holds {e}") from e


def score(ids: Ints, values: Floats, labels: tuple[Ints, Ints], users: Ints | None) -> Estimate:
    """AUC of ``values`` (n,) for ``ids`` (n,) against labels by ID, in any order.

    The standard error is clustered by ``users`` (test rows,) by ID; if they are None, rows count as
    independent, which makes it too small if a user has several. Raises DataError if a label has no
    score; scores without a label are left out.
    """
    label_ids, label = labels
    order = np.argsort(ids)
    position = np.searchsorted(ids, label_ids, sorter=order)
    row = order[np.minimum(position, len(ids) - 1)]
    missing = label_ids[ids[row] != label_ids]
    if len(missing):
        raise DataError(
            f"{len(missing):,} labelled IDs have no score, first {missing[0]}; are the scores of "
            "this test set?"
        )
    if users is not None and label_ids.max(initial=0) >= len(users):
        raise DataError(
            f"a label's ID is {label_ids.max()}, but the test set has {len(users)} rows"
        )
    clusters = label_ids if users is None else users[label_ids]
    if len(np.unique(label)) < 2:
        raise DataError("AUC needs labels 0 and 1, but all labels are equal")
    return auc_with_se(label, values[row], clusters)


def task_column(scores: Scores, task: str | None) -> Floats:
    """The column of ``task``; if None, the only column that is not a constant placeholder."""
    if task is not None:
        if task not in scores.columns:
            raise UsageError(f"no column {task}; found {', '.join(scores.columns)}")
        return scores.columns[task]
    varying = [n for n, v in scores.columns.items() if len(v) and (v != v[0]).any()]
    if len(varying) != 1:
        raise UsageError(
            f"{len(varying)} columns hold scores ({', '.join(varying) or 'none'}); choose one "
            "with --task"
        )
    return scores.columns[varying[0]]


def column_name(task: str | None) -> str | None:
    """The column of a submission that is meant: "both" is Task1&2, and case does not matter."""
    known = {each.casefold(): each for each in Task} | {"both": Task.BOTH}
    return None if task is None else known.get(task.casefold(), task)
