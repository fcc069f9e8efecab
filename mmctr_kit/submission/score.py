"""AUC of test scores where someone has labels: a course, a generated data set."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.metrics import Estimate, auc_with_error
from mmctr_kit.submission.check import Scores


def read_labels(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """IDs (n,) and labels (n,) 0/1 from a parquet or CSV file with columns ID and label."""
    import pandas as pd

    if not path.is_file():
        raise UsageError(f"no labels file at '{path}'; expected parquet or CSV with ID and label")
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError) as e:
        raise DataError(f"{path} is not a readable parquet or CSV file: {e}") from e
    missing = [c for c in ("ID", "label") if c not in frame.columns]
    if missing:
        raise DataError(f"{path} lacks column {missing[0]}; found {', '.join(frame.columns)}")
    if not frame["label"].isin([0, 1]).all():
        raise DataError(f"{path}: labels must be 0 or 1, found other values")
    ids = frame["ID"].to_numpy(np.int64)
    if len(np.unique(ids)) != len(ids):
        raise DataError(f"{path} holds an ID twice; expected each once")
    return ids, frame["label"].to_numpy(np.int64)


def score(
    ids: NDArray[np.int64],
    values: NDArray[np.float64],
    labels: tuple[NDArray[np.int64], NDArray[np.int64]],
    users: NDArray[np.int64] | None,
) -> Estimate:
    """AUC of ``values`` (n,) for ``ids`` (n,) against labels by ID, in any order.

    Its error is clustered by ``users``, (test rows,) by ID; where they are not known rows count as
    independent, which makes it too small where a user has several. Raises DataError where a label
    has no score; scores without a label are left out.
    """
    label_ids, label = labels
    order = np.argsort(ids)
    place = np.searchsorted(ids, label_ids, sorter=order)
    found = order[np.minimum(place, len(ids) - 1)]
    missing = label_ids[ids[found] != label_ids]
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
        raise DataError("AUC needs labels 0 and 1, found one of them alone")
    return auc_with_error(label, values[found], clusters)


def task_column(scores: Scores, task: str | None) -> NDArray[np.float64]:
    """The column of ``task``; without one, the only column that is no constant placeholder."""
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
