"""What an encoding cost, and which items it left out."""

import json
from pathlib import Path

import pytest

from mmctr_kit.embed.encode.report import (
    ColumnReport,
    ItemFault,
    Report,
    report_path,
    require_encoded,
)
from mmctr_kit.errors import UsageError

FAULTS = (ItemFault(2, "grey", "a"), ItemFault(3, "broken", "b"), ItemFault(7, "grey", "c"))
COLUMN = ColumnReport("image", "clip", "dual", None, 9, 4, 97, 2, 50.0, 3.5, 100.0, FAULTS)


def test_a_report_survives_its_file() -> None:
    report = Report(Path("v.parquet"), 100, (COLUMN,), {"data": {"items": 100}})
    stored = json.loads(json.dumps(report.to_json()))
    again = Report.from_json(stored, Path("v.parquet"))
    assert again.columns == report.columns
    assert again.identity == report.identity
    assert again.already
    assert not report.already


def test_faults_are_counted_by_kind_and_each_is_named() -> None:
    assert {k: len(f) for k, f in COLUMN.faults_by_kind().items()} == {"grey": 2, "broken": 1}
    said = COLUMN.to_json()
    assert said["missing"] == {"grey": 2, "broken": 1}
    assert [fault["item_id"] for fault in said["faults"]] == [2, 3, 7]
    assert said["items_per_second"] == COLUMN.items_per_second == 97 / 50


def test_a_file_without_a_report_is_not_ours(tmp_path: Path) -> None:
    out = tmp_path / "v.parquet"
    require_encoded(out)
    out.touch()
    with pytest.raises(UsageError, match="exists; name another file"):
        require_encoded(out)
    report_path(out).touch()
    require_encoded(out)
