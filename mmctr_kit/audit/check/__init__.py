"""The checks of ``data check``: that a data folder is complete, aligned and sane.

A check whose input cannot be read, or whose optional file is absent, is skipped; so is what only
the challenge's files have, if the folder was made by ``data import``. The checks are listed in
:data:`~mmctr_kit.audit.check.catalog.CHECKS`.
"""

import math
from collections.abc import Mapping
from pathlib import Path

from mmctr_kit.activity import doing
from mmctr_kit.audit.check.alignment import check_alignment
from mmctr_kit.audit.check.catalog import CHECKS
from mmctr_kit.audit.check.files import FIX, check_files, check_images, check_memory
from mmctr_kit.audit.check.history_order import check_order
from mmctr_kit.audit.check.item_files import check_items, read_items
from mmctr_kit.audit.check.item_values import (
    check_embeddings,
    check_item_ids,
    check_tag_alignment,
    count_items,
    incomplete_files,
)
from mmctr_kit.audit.check.row_values import check_copies, check_lengths, check_levels
from mmctr_kit.audit.check.rows import check_rows, read_rows
from mmctr_kit.audit.check.scan import FileScan, scan_file
from mmctr_kit.audit.check.users import check_users, read_sequences
from mmctr_kit.audit.findings import Finding, Level, Log
from mmctr_kit.audit.profile import PROBES, quick_profile
from mmctr_kit.data.contract import FILES
from mmctr_kit.data.load import load
from mmctr_kit.data.path_hints import refuse_neighbour
from mmctr_kit.datasets.imports.write import SPEC_COPY, TEST_LABELS
from mmctr_kit.errors import DataError, UsageError, plural

__all__ = ["CHECKS", "check_data"]

_CHECKED_ELSEWHERE = {"split-users", "sibling-rows", "target-in-history"}
"""Probes of what other checks count themselves, in every row of the files."""


def check_data(folder: Path) -> list[Finding]:
    """Every check of :data:`CHECKS` on ``folder``, in its order: one PASS, or all that is wrong.

    Reads every file through, in batches. Raises UsageError if there is no such folder, or the data
    are in the folder above or below it, and nothing for what the folder holds.
    """
    if not folder.is_dir():
        raise UsageError(f"no data folder at '{folder}'; expected the folder of the download")
    refuse_neighbour(folder)
    # An import writes these files beside the data, nobody else does.
    imported = any((folder / name).is_file() for name in (SPEC_COPY, TEST_LABELS))
    log = Log(CHECKS, challenge=not imported)
    scans = {}
    for key, file in FILES.items():
        doing(f"reading {file.path}")
        scans[key] = scan_file(folder, key)
    doing("reading the items")
    items = read_items(scans)
    n_items = count_items(items)
    doing("checking files and items")
    check_files(folder, scans, n_items, incomplete_files(items), log)
    check_images(folder, n_items, log)
    check_item_ids(items, log)
    check_items(items, log)
    check_embeddings(items, log)
    check_alignment(items, log)
    check_tag_alignment(items, log)
    feature = items.pop("item_feature")
    items.clear()  # frees the vectors before the rows are read
    doing("reading the rows")
    sequences = read_sequences(scans["item_seq"])
    sample = None if sequences is None else sequences.sample
    rows = read_rows(scans, n_items, None if sample is None else sample.users)
    doing("checking the rows")
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
    for name in CHECKS.keys() - {f.id for f in log.findings()}:
        _report_not_run(name, scans, log)
    return log.findings()


def _check_leaks(folder: Path, log: Log) -> None:
    """Reports what the profile's quick probes suspect in a folder in which nothing failed.

    It loads the folder, which fills the cache for the first command that uses it.
    """
    failed = [f.id for f in log.findings() if f.level is Level.FAIL]
    if log.worst("memory") is not Level.PASS:
        log.skip("leaks", "it loads the data; see memory")
        return
    if failed:
        log.skip("leaks", f"it loads the data, and {failed[0]} failed", FIX)
        return
    doing("loading the data to look for leaks")
    try:
        data = load(folder)
    except (DataError, UsageError) as e:  # or the cache has no room for it
        what, _, todo = str(e).partition("; ")
        log.warn("leaks", f"not run: {what}", todo or "check again")
        return
    try:
        results = [r for r in quick_profile(data) if r.measurement.probe not in _CHECKED_ELSEWHERE]
    except DataError as e:
        log.skip("leaks", str(e))
        return
    for m in (r.measurement for r in results if r.suspicious):
        log.warn("leaks", f"{m}; {PROBES[m.probe].means}", PROBES[m.probe].todo)
    number = plural(sum(not math.isnan(r.measurement.value.value) for r in results), "measurement")
    log.passed("leaks", f"{number} of the profile's quick probes, none suspicious")


def _report_not_run(name: str, scans: Mapping[str, FileScan], log: Log) -> None:
    reads = CHECKS[name].reads
    absent = [k for k in reads if not scans[k].present]
    if absent and not any(scans[k].file.needed for k in absent):
        log.skip(name, f"needs {FILES[absent[0]].path}, which is optional")
    else:
        log.skip(name, f"needs {', '.join(reads) or 'at least one readable file'}", FIX)
