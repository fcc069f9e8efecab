"""``data check``: is a data folder complete, aligned and sane?

A check whose input cannot be read is reported as not run; one whose optional file is absent as
skipped. The checks are listed in :data:`~mmctr_kit.audit.check.catalog.CHECKS`.
"""

from collections.abc import Mapping
from pathlib import Path

from mmctr_kit.audit.check.alignment import check_alignment
from mmctr_kit.audit.check.catalog import CHECKS
from mmctr_kit.audit.check.files import check_files, check_images, check_memory
from mmctr_kit.audit.check.history_order import check_order
from mmctr_kit.audit.check.item_files import check_items, read_items
from mmctr_kit.audit.check.item_values import (
    check_embeddings,
    check_item_ids,
    check_tag_alignment,
    count_items,
    incomplete_files,
)
from mmctr_kit.audit.check.leaks import check_leaks
from mmctr_kit.audit.check.row_values import check_copies, check_lengths, check_levels
from mmctr_kit.audit.check.rows import check_rows, read_rows
from mmctr_kit.audit.check.scan import FileScan, scan_file
from mmctr_kit.audit.check.users import check_users, read_sequences
from mmctr_kit.audit.findings import Finding, Level, Log
from mmctr_kit.data.contract import FILES
from mmctr_kit.data.path_hints import refuse_neighbour
from mmctr_kit.errors import UsageError

__all__ = ["CHECKS", "check_data"]

_FIX = "fix the FAIL above first, then check again"


def check_data(folder: Path) -> list[Finding]:
    """Every check of :data:`CHECKS` on ``folder``, in its order: one PASS, or all that is wrong.

    Reads every file through, in batches. Raises UsageError if there is no such folder, or the data
    are in the folder above or below it, and nothing for what the folder holds.
    """
    if not folder.is_dir():
        raise UsageError(f"no data folder at '{folder}'; expected the folder of the download")
    refuse_neighbour(folder)
    log = Log(CHECKS)
    scans = {key: scan_file(folder, key) for key in FILES}
    items = read_items(scans)
    n_items = count_items(items)
    check_files(folder, scans, n_items, incomplete_files(items), log)
    check_images(folder, n_items, log)
    check_item_ids(items, log)
    check_items(items, log)
    check_embeddings(items, log)
    check_alignment(items, log)
    check_tag_alignment(items, log)
    feature = items.pop("item_feature")
    items.clear()  # frees the vectors before the rows are read
    sequences = read_sequences(scans["item_seq"])
    sample = None if sequences is None else sequences.sample
    rows = read_rows(scans, n_items, None if sample is None else sample.users)
    check_rows(rows, n_items, None if sequences is None else sequences.unknown(n_items), log)
    check_lengths(rows, log)
    check_levels(rows, feature, scans["item_feature"], log)
    check_users(rows, sequences, log)
    check_copies(rows, log)
    check_order(rows, sample, log)
    entries = sum(int(f.history.counts.sum()) for f in rows.values() if f.history is not None)
    del rows, sequences, sample
    check_memory(scans, entries, log)
    _check_leaks(folder, log)
    _report_not_run(scans, log)
    return log.findings()


def _check_leaks(folder: Path, log: Log) -> None:
    failed = [f.id for f in log.findings() if f.level is Level.FAIL]
    if log.worst("memory") is not Level.PASS:
        log.passed("leaks", "skipped: it loads the data; see memory")
    elif failed:
        log.warn("leaks", f"not run: it loads the data, and {failed[0]} failed", _FIX)
    else:
        check_leaks(folder, log)


def _report_not_run(scans: Mapping[str, FileScan], log: Log) -> None:
    for name in CHECKS.keys() - {f.id for f in log.findings()}:
        reads = CHECKS[name].reads
        absent = [k for k in reads if not scans[k].file.needed and not scans[k].present]
        if absent:
            log.passed(name, f"skipped: no {FILES[absent[0]].path}")
        else:
            needed = ", ".join(reads) or "at least one readable file"
            log.warn(name, f"not run: needs {needed}", _FIX)
