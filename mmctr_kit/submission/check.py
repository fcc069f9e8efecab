"""Checks whether organisers would score a file, and whether it is likely what was meant.

FAIL: the organisers' scorer might refuse or misread the file. WARN: it would be scored, but it
looks like a mistake. The checks are :data:`~mmctr_kit.submission.checks.catalog.CHECKS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.findings import Finding, Level, Log
from mmctr_kit.errors import DataError
from mmctr_kit.submission.checks.catalog import CHECKS
from mmctr_kit.submission.checks.local_agreement import unit_ranks
from mmctr_kit.submission.checks.plausibility import (
    Reference,
    TestRows,
    check_alignment,
    check_references,
)
from mmctr_kit.submission.checks.rows import check_rows, check_unique
from mmctr_kit.submission.checks.scores import check_scores
from mmctr_kit.submission.reading.archive import read_csv_bytes
from mmctr_kit.submission.reading.header import read_header
from mmctr_kit.submission.reading.table import SubmissionTable, read_table
from mmctr_kit.submission.reading.text import read_text
from mmctr_kit.submission.spec import MAX_ROWS, IdsSpec, Spec, challenge

__all__ = ["CHECKS", "Reference", "Scores", "TestRows", "check_submission", "read_scores"]

_REPAIRED = ("zip-", "csv-line-ends", "csv-quotes", "csv-blank-lines")
"""Beginnings of checks whose faults, if a table was read, leave no doubt about its scores."""


@dataclass(frozen=True)
class Scores:
    """A submission's content: ``ids`` (n,) int64, unique; ``columns`` name -> (n,) float64."""

    ids: NDArray[np.int64]
    columns: dict[str, NDArray[np.float64]]


def check_submission(
    path: Path,
    *,
    test: TestRows | None = None,
    references: Sequence[Reference] = (),
    spec: Spec | None = None,
) -> list[Finding]:
    """The findings of all checks that could be made, in the order of :data:`CHECKS`.

    ``test``: the test set that the file is for, the spec's if None; ``references``: test
    predictions of existing runs; ``spec``: what the contest accepts, the challenge's if None. A
    check that an earlier fault makes impossible is left out. Raises UsageError if there is no such
    file, or if the spec and ``test`` do not fit; nothing for what the file holds.
    """
    spec = spec or challenge()
    rows = TestRows(spec.ids.n_rows) if test is None else test
    ids = spec.ids.sized(rows.n_rows)
    log = Log(CHECKS)
    table = _read(path, log, 2 * rows.n_rows + 1_000, spec)
    if table is not None:
        check_rows(table, ids, log)
        check_scores(table, log, spec.values, by_auc=spec == challenge())
        columns = _comparable(table, ids)
        check_references(columns, references, log, rows)
        check_alignment(columns, rows, references, log)
    return log.findings()


def read_scores(path: Path) -> Scores:
    """The scores in a submission to the challenge, zipped or bare, of any IDs in any order.

    Raises UsageError if there is no FILE, and DataError (with the first FAIL) if a score or its ID
    cannot be read without doubt.
    """
    log = Log(CHECKS)
    table = _read(path, log, MAX_ROWS, challenge())
    if table is not None and table.ids is not None:
        check_unique(table, table.ids, log)
    faults = [f for f in log.findings() if f.level is Level.FAIL]
    if table is not None:
        faults = [f for f in faults if not f.id.startswith(_REPAIRED)]
    if faults:
        raise DataError(f"{path}: {faults[0].id}: {faults[0].what}; {faults[0].todo}")
    if table is not None and table.ids is not None and len(table.ids):
        return Scores(table.ids, table.columns)
    raise DataError(f"{path}: expected rows of ID and scores; found none; write it again")


def _read(path: Path, log: Log, max_rows: int, spec: Spec) -> SubmissionTable | None:
    raw = read_csv_bytes(path, log, spec)
    text = None if raw is None else read_text(raw, log, spec.ids.column)
    if text is None:
        return None
    return read_table(text, read_header(text.header, log, spec), log, max_rows, spec.ids)


def _comparable(table: SubmissionTable, spec: IdsSpec) -> dict[str, NDArray[np.float64]]:
    """Unit ranks of the complete columns that vary, in ID order (file order if IDs are wrong)."""
    n_rows = spec.n_rows
    if table.n_rows != n_rows or len(table.lines) != n_rows:
        return {}
    order = np.arange(n_rows)
    wanted = order + spec.first
    if table.ids is not None and not np.array_equal(table.ids, wanted):
        by_id = np.argsort(table.ids)
        if np.array_equal(table.ids[by_id], wanted):
            order = by_id
    return {
        name: unit_ranks(column[order])
        for name, column in table.columns.items()
        if np.isfinite(column).all() and (column != column[0]).any()
    }
