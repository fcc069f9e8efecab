"""Logits to a submission zip whose order is the logits' order.

AUC sees only order, so what must survive writing is order: a float64 sigmoid ties everything
above 37 or so, and distinct scores an ulp apart may swap in a reader that rounds carelessly.
"""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import Task
from mmctr_kit.errors import DataError, unwritable
from mmctr_kit.files import require_free, write_whole
from mmctr_kit.submission.spec import challenge

_SAFE_LOGIT = 16.0
"""The sigmoid of +-16 is 1.1e-7 from 0 or 1: a billion float64 steps are left on either side."""
_GAP = 8.0
"""Units in the last place that must lie between distinct scores, so that readers which
round carelessly (pandas' default parser before version 3) still see them in order."""
_EARLIEST = (1980, 1, 1, 0, 0, 0)


def write_submission(
    path: Path,
    ids: NDArray[np.int64],
    columns: Mapping[Task, NDArray[np.float64]],
    *,
    overwrite: bool = False,
) -> None:
    """Write the zip ``path`` with prediction.csv: ``ID`` and a column of scores for each task.

    ``ids`` (n,) int64, 0 .. n - 1 in order; ``columns`` task -> (n,) float64 logits (see
    :func:`scores`). The same input gives the same bytes; a file that already holds them is left
    alone. Raises DataError for wrong ids, lengths or non-finite logits, and UsageError if ``path``
    is not a .zip, cannot be written, or holds something else and not ``overwrite``.
    """
    write_bytes(path, submission_bytes(ids, columns), overwrite=overwrite)


def submission_bytes(ids: NDArray[np.int64], columns: Mapping[Task, NDArray[np.float64]]) -> bytes:
    """The zip that :func:`write_submission` writes."""
    _check_input(ids, columns)
    return _zip(_csv(ids, {t: scores(columns[t]) for t in Task if t in columns}))


def write_bytes(path: Path, content: bytes, *, overwrite: bool = False) -> None:
    """Write the zip ``path`` as :func:`write_submission` does."""
    try:
        if path.is_file() and path.read_bytes() == content:
            return
        advice = " and holds something else; remove it or name another file"
        require_free(path, "a submission", (".zip",), overwrite, advice)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, lambda p: p.write_bytes(content))
    except OSError as e:
        raise unwritable(f"cannot write '{path}' ({e.strerror}); name another file", e) from e


def scores(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) float64 scores in [0, 1] with exactly the order and the ties of (n,) finite logits.

    The first of these that keeps distinct logits at least 8 ulp apart: the sigmoid; the sigmoid
    of the logits scaled to +-16; (rank - 1/2) / (number of distinct logits), which always does.
    So the scores are probabilities wherever that costs no order.
    """
    distinct, place = np.unique(np.asarray(logits, np.float64), return_inverse=True)
    if not len(distinct):
        return np.zeros(0)
    values = _sigmoid(distinct)
    largest = float(np.abs(distinct).max())
    if not _apart(values) and largest > _SAFE_LOGIT:
        values = _sigmoid(distinct / largest * _SAFE_LOGIT)
    if not _apart(values):
        values = (np.arange(len(distinct)) + 0.5) / len(distinct)
    spread: NDArray[np.float64] = values[place]
    return spread


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    small = np.exp(-np.abs(logits))
    result: NDArray[np.float64] = np.where(logits >= 0, 1.0, small) / (1.0 + small)
    return result


def _apart(values: NDArray[np.float64]) -> bool:
    """Whether ascending (n,) values are each well above the one before."""
    return bool((np.diff(values) >= _GAP * np.spacing(values[1:])).all())


def _check_input(ids: NDArray[np.int64], columns: Mapping[Task, NDArray[np.float64]]) -> None:
    n = len(ids)
    if not n or not np.array_equal(ids, np.arange(n)):
        actual = f"{n:,} ids" + (f", from {ids[0]} to {ids[-1]}" if n else "")
        raise DataError(f"expected IDs 0, 1, 2, ... in order; found {actual}; sort rows by ID")
    if not columns:
        raise DataError("expected logits of at least one task; found none; name a task")
    for task, logits in columns.items():
        if logits.shape != (n,):
            raise DataError(
                f"{task}: expected {n:,} logits, one for each ID; found shape {logits.shape}; "
                "predict every test row once"
            )
        bad = np.flatnonzero(~np.isfinite(logits))
        if len(bad):
            raise DataError(
                f"{task}: expected finite logits; found {len(bad):,} that are not, first "
                f"{logits[bad[0]]} for ID {bad[0]}; look for diverged training"
            )


def _csv(ids: NDArray[np.int64], columns: Mapping[Task, NDArray[np.float64]]) -> bytes:
    """``repr`` is the shortest text that reads back as the same float64."""
    cells = [map(repr, values.tolist()) for values in columns.values()]
    rows = map(",".join, zip(map(str, ids.tolist()), *cells, strict=True))
    return "\n".join([",".join([challenge().ids.column, *columns]), *rows, ""]).encode()


def _zip(table: bytes) -> bytes:
    member = zipfile.ZipInfo(challenge().member, _EARLIEST)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 3  # Unix, whatever this is run on
    member.external_attr = 0o100644 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, table, compresslevel=6)
    return buffer.getvalue()
