"""Checks of the rows as a whole: how many there are, and whether IDs are the test set's."""

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.findings import Log
from mmctr_kit.errors import plural
from mmctr_kit.submission.reading.table import SubmissionTable

Ids = NDArray[np.int64]


def check_rows(table: SubmissionTable, n_rows: int, log: Log) -> None:
    """Row count and IDs against a test set of ``n_rows`` rows with IDs 0 .. n_rows - 1."""
    if table.n_rows != n_rows:
        more = table.n_rows - n_rows
        what = f"expected {n_rows:,} rows; found {table.n_rows:,}, {abs(more):,} too "
        todo = "one row for each row of test.parquet; for another test set give its --data"
        log.fail("row-count", what + ("many" if more > 0 else "few"), todo)
    log.passed("row-count", f"{n_rows:,}")
    if table.ids is not None:
        check_unique(table.ids, table.lines, log)
        _check_complete(table.ids, table.lines, n_rows, log)
        _check_order(table.ids, table.lines, log)


def check_unique(ids: Ids, lines: NDArray[np.int64], log: Log) -> None:
    """No ID twice: ``ids`` and the file's ``lines``, both (rows,)."""
    order = np.argsort(ids, kind="stable")
    again = order[1:][ids[order][1:] == ids[order][:-1]]
    if len(again):
        row = int(again.min())
        repeats = plural(len(again), "row")
        what = f"{repeats} with an ID seen before, first ID {ids[row]} in line {lines[row]:,}"
        log.fail("id-unique", what, "keep one row per ID; a join may have multiplied rows")
    log.passed("id-unique", "all differ")


def _check_complete(ids: Ids, lines: NDArray[np.int64], n_rows: int, log: Log) -> None:
    inside = (ids >= 0) & (ids < n_rows)
    present = np.zeros(n_rows, bool)
    present[ids[inside]] = True
    absent = n_rows - int(present.sum())
    faults = []
    if absent:
        faults.append(f"{plural(absent, 'ID')} missing, first {int(np.argmin(present))}")
    if not inside.all():
        row = int(np.argmin(inside))
        faults.append(
            f"{plural(int((~inside).sum()), 'ID')} unknown, first {ids[row]} in line {lines[row]:,}"
        )
    if faults:
        todo = "take IDs and their order from test.parquet"
        if len(ids) and ids.min() == 1 and ids.max() == n_rows:
            todo = "IDs start from 0, not from 1"
        log.fail("id-complete", f"expected 0 to {n_rows - 1:,}; " + "; ".join(faults), todo)
    log.passed("id-complete", f"0 to {n_rows - 1:,}")


def _check_order(ids: Ids, lines: NDArray[np.int64], log: Log) -> None:
    falls = np.flatnonzero(ids[1:] < ids[:-1])
    if len(falls):
        row = int(falls[0]) + 1
        what = (
            f"expected ascending IDs; {plural(len(falls), 'ID')} below the one before, first "
            f"{ids[row]} after {ids[row - 1]} in line {lines[row]:,}"
        )
        log.fail("id-order", what, "sort rows by ID as a number, each with its score")
    log.passed("id-order", "ascending")
