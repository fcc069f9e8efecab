"""Checks of the rows as a whole: how many there are, and whether IDs are the test set's."""

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.findings import Log
from mmctr_kit.errors import plural
from mmctr_kit.submission.reading.table import SubmissionTable
from mmctr_kit.submission.spec import IdsSpec

Ids = NDArray[np.int64]


def check_rows(table: SubmissionTable, spec: IdsSpec, log: Log) -> None:
    """Row count and IDs against a test set's."""
    n_rows = spec.n_rows
    if table.n_rows != n_rows:
        more = table.n_rows - n_rows
        what = f"expected {n_rows:,} rows; found {table.n_rows:,}, {abs(more):,} too "
        todo = f"one row for each row of {spec.taken_from}"
        todo += "" if spec.like else "; for another test set give its --data"
        log.fail("row-count", what + ("many" if more > 0 else "few"), todo)
    log.passed("row-count", f"{n_rows:,}")
    if table.ids is not None:
        check_unique(table, table.ids, log)
        _check_complete(table, table.ids, spec, log)
        _check_order(table, table.ids, spec, log)


def check_unique(table: SubmissionTable, ids: Ids, log: Log) -> None:
    """No ID twice among ``ids`` (rows,), which are the table's."""
    order = np.argsort(ids, kind="stable")
    again = order[1:][ids[order][1:] == ids[order][:-1]]
    if len(again):
        row = int(again.min())
        first = f"first ID {table.shown(ids[row])} in line {table.lines[row]:,}"
        what = f"{plural(len(again), 'row')} with an ID seen before, {first}"
        log.fail("id-unique", what, "keep one row per ID; a join may have multiplied rows")
    log.passed("id-unique", "all differ")


def _check_complete(table: SubmissionTable, ids: Ids, spec: IdsSpec, log: Log) -> None:
    n_rows, start = spec.n_rows, spec.first
    inside = (ids >= start) & (ids < start + n_rows)
    present = np.zeros(n_rows, bool)
    present[ids[inside] - start] = True
    absent = n_rows - int(present.sum())
    faults = []
    if absent:
        first = table.shown(start + int(np.argmin(present)))
        faults.append(f"{plural(absent, 'ID')} missing, first {first}")
    if not inside.all():
        row = int(np.argmin(inside))
        first = f"first {table.shown(ids[row])} in line {table.lines[row]:,}"
        faults.append(f"{plural(int((~inside).sum()), 'ID')} unknown, {first}")
    expected = (
        f"the IDs of {spec.taken_from}" if spec.like else f"{start:,} to {start + n_rows - 1:,}"
    )
    if faults:
        todo = f"take IDs and their order from {spec.taken_from}"
        if len(ids) and ids.min() == start + 1 and ids.max() == start + n_rows and not spec.like:
            todo = f"IDs start from {start}, not from {start + 1}"
        log.fail("id-complete", f"expected {expected}; " + "; ".join(faults), todo)
    log.passed("id-complete", expected)


def _check_order(table: SubmissionTable, ids: Ids, spec: IdsSpec, log: Log) -> None:
    if spec.order == "any":
        log.passed("id-order", "any order is allowed")
        return
    falls = np.flatnonzero(ids[1:] < ids[:-1])
    if len(falls):
        row = int(falls[0]) + 1
        order, how = "ascending IDs", "sort rows by ID as a number"
        if spec.like:
            order, how = f"the order of {spec.taken_from}", "write rows in its order"
        first = f"{table.shown(ids[row])} after {table.shown(ids[row - 1])}"
        many = f"{plural(len(falls), 'ID')} below the one before"
        what = f"expected {order}; {many}, first {first} in line {table.lines[row]:,}"
        log.fail("id-order", what, f"{how}, each with its score")
    log.passed("id-order", f"as in {spec.taken_from}" if spec.like else "ascending")
