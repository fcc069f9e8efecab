"""mmctr_kit.audit.check.files: how much memory loading takes, and how much is free."""

from pathlib import Path

import pytest

from mmctr_kit.audit.check import CHECKS, check_data, files
from mmctr_kit.audit.check.scan import scan_file
from mmctr_kit.audit.findings import Level, Log
from mmctr_kit.data.contract import FILES
from tests.audit.check.faults import (
    ANY,
    FAIL,
    WARN,
    Fault,
    Tables,
    Write,
    assert_named_alone,
    at,
    drop_rows,
    images,
)


def test_too_little_free_memory_warns(check_clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "available_memory", lambda: 1_000)
    assert {f.id for f in check_data(check_clean) if f.level is Level.WARN} == {"memory"}
    monkeypatch.setattr(files, "available_memory", lambda: None)
    findings = check_data(check_clean)
    assert {f.id for f in findings if f.level is not Level.PASS} == {"times"}  # there are none


def test_long_histories_count_three_times_over(
    check_clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = {name: scan_file(check_clean, name) for name in FILES}
    monkeypatch.setattr(files, "available_memory", lambda: 3_000_000_000)
    log = Log(CHECKS)
    files.check_memory(scans, 200_000_000, log)
    (fits,) = log.findings()
    assert (fits.level, fits.what[:28]) == (Level.PASS, "loading takes about 2.9 GB, ")
    files.check_memory(scans, 210_000_000, log)
    assert log.worst("memory") is Level.WARN


def test_free_memory_is_what_the_container_leaves_of_the_systems(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 99 kB\nMemAvailable:      8000 kB\n")
    assert files.available_memory(meminfo, tmp_path) == 8000 * 1024
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert files.available_memory(meminfo, tmp_path) == 3000
    (tmp_path / "memory.max").write_text("max\n")
    assert files.available_memory(meminfo, tmp_path) == 8000 * 1024
    assert files.available_memory(tmp_path / "none", tmp_path) is None


FAULTS = [
    Fault("no valid", "files-needed", FAIL, ANY, at("valid", Path.unlink)),
    Fault("no rows", "row-counts", FAIL, "valid", drop_rows(40)),
    Fault("an item short", "row-counts", FAIL, "item_emb", drop_rows(1)),
    Fault("no item_emb", "files-optional", WARN, ANY, at("item_emb", Path.unlink)),
    Fault("images missing", "images", WARN, ANY, images(2, 40, b"jpg")),
    Fault("an empty image", "images", WARN, ANY, images(1, 40, b"")),
    Fault("images is a file", "images", WARN, ANY, lambda f: (f / "item_images").write_text("")),
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_found_by_its_check_and_by_no_other(
    fault: Fault, check_folder: Path, check_tables: Tables, write_table: Write
) -> None:
    assert_named_alone(fault, check_folder, check_tables, write_table)
