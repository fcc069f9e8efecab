"""The files of a table are found by name and pattern, and in archives."""

import os
import zipfile
from pathlib import Path

import pytest

from mmctr_kit.datasets.imports.sources import Source, find_sources, format_of, opened
from mmctr_kit.datasets.imports.spec import Table
from mmctr_kit.errors import DataError, UsageError


def test_a_pattern_is_all_files_that_fit_in_order(tmp_path: Path) -> None:
    for part in "ba":
        (tmp_path / f"part-{part}.csv").write_text("user\n1\n")
    with zipfile.ZipFile(tmp_path / "one.zip", "w") as archive:
        archive.writestr("inside/x.csv", "user\n1\n")
    found = find_sources(Table(files=("part-*.csv", "one.zip")), tmp_path, "items.files")
    assert [str(s.path.name) for s in found] == ["part-a.csv", "part-b.csv", "one.zip"]
    assert str(found[-1]).endswith("one.zip:inside/x.csv")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("logs.csv", r"items.files: no file .*logs.csv' \(did you mean log.csv\?\)"),
        ("log.xlsx", "no table by its name; set format"),
        ("two.zip", "two.zip holds a.csv, b.csv; name one, as in two.zip:NAME"),
        ("two.zip:c.csv", r"holds a.csv, b.csv; it lacks 'c.csv', as in two.zip:NAME"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path: Path, files: str, message: str) -> None:
    (tmp_path / "log.csv").write_text("user\n1\n")
    (tmp_path / "log.xlsx").write_text("user\n1\n")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", "user\n1\n")
        archive.writestr("b.csv", "user\n1\n")
    table = Table(files=(files,))
    with pytest.raises(UsageError, match=message):
        format_of(table, find_sources(table, tmp_path, "items.files")[0])


def test_a_fifo_is_no_table(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log.csv")
    expected = r"cannot be read \(a fifo, device or socket, no file\); name another file"
    with pytest.raises(DataError, match=expected), opened(Source(tmp_path / "log.csv")):
        pass
