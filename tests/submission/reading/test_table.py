import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.audit.findings import Level, Log
from mmctr_kit.submission.checks.catalog import CHECKS
from mmctr_kit.submission.reading import table as module
from mmctr_kit.submission.reading.header import Header
from mmctr_kit.submission.reading.table import SubmissionTable, read_table
from mmctr_kit.submission.reading.text import Text
from mmctr_kit.submission.spec import IdsSpec, challenge

HEADER = Header(3, 0, {"Task1": 1, "Task2": 2}, False)


def read(
    rows: bytes, header: Header = HEADER, blanks: bool = False, most: int = 99
) -> tuple[SubmissionTable, list[tuple[str, str]]]:
    log = Log(CHECKS)
    table = read_table(Text("1,1,1", rows, 2, blanks), header, log, most, challenge().ids)
    return table, [(f.id, f.what) for f in log.findings() if f.level is not Level.PASS]


def test_rows_become_columns_with_their_line_numbers() -> None:
    table, found = read(b"0,0.5,1\n1,1e-05,0\n")
    assert found == []
    assert table.ids is not None
    assert table.ids.tolist() == [0, 1]
    assert {n: c.tolist() for n, c in table.columns.items()} == {
        "Task1": [0.5, 1e-05],
        "Task2": [1.0, 0.0],
    }
    assert table.lines.tolist() == [2, 3]
    assert table.n_rows == 2


# every cell that the alphabet of the fast reader can form, and a few beyond it
cells = st.one_of(
    st.floats(0, 1).map(repr),
    st.text("0123456789.eE+-", max_size=6),
    st.sampled_from(["", "1e400", " 1", "nan", "-0"]),
)
rows = st.lists(st.tuples(st.integers(-5, 10**19).map(str) | cells, cells, cells), max_size=5)


@settings(max_examples=300, deadline=None)
@given(rows=rows)
def test_the_fast_reader_takes_nothing_that_the_careful_one_refuses_or_reads_otherwise(
    rows: list[tuple[str, str, str]],
) -> None:
    text = "".join(",".join(r) + "\n" for r in rows).encode()
    if text.translate(None, module._ALPHABET):
        return
    fast = module._read_fast(text, 2, HEADER, challenge().ids)
    if fast is None:
        return
    log = Log(CHECKS)
    careful = module._read_carefully(text, 2, HEADER, log, 99, challenge().ids)
    too_long = any(len(r[0].lstrip("-")) > 18 for r in rows)  # an int64 has up to 19 digits
    assert too_long or not log.findings()
    assert fast.ids is not None
    assert too_long or fast.ids.tolist() == (
        careful.ids if careful.ids is None else careful.ids.tolist()
    )
    for name, column in fast.columns.items():
        assert column.tolist() == careful.columns[name].tolist()
    assert fast.lines.tolist() == careful.lines.tolist()


def test_a_good_table_is_read_without_the_careful_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(module, "_read_carefully")
    assert read(b"0,0.5,1\n1,1e-05,0.\n")[1] == []


def test_ids_of_a_sample_are_numbered_alike_by_both_readers(tmp_path: Path) -> None:
    (tmp_path / "sample.csv").write_text("id,Task1\n07,0\n7,0\n-1,0\n")
    spec = IdsSpec(column="id", like=tmp_path / "sample.csv")
    text, log = b"7,0.5,1\n8,0.5,1\n-1,0.5,1\n07,0.5,1\n8,0.5,1\n,0.5,1\n", Log(CHECKS)
    careful = module._read_carefully(text, 2, HEADER, log, 99, spec)
    for table in (module._read_fast(text, 2, HEADER, spec), careful):
        assert table is not None
        assert table.ids is not None
        assert table.ids.tolist() == [1, 3, 2, 0, 3, 4]
        assert [table.shown(i) for i in range(5)] == ["'07'", "'7'", "'-1'", "'8'", "''"]
    assert log.findings() == []


def test_blank_lines_are_skipped_and_numbers_kept() -> None:
    table, found = read(b"0,0.5,1\n \n1,0.25,0\n", blanks=True)
    assert found == []
    assert table.lines.tolist() == [2, 4]
    assert table.n_rows == 2


@pytest.mark.parametrize(
    ("row", "said", "todo"),
    [
        (b"1,0.5", "line 3 has 2", "every row"),
        (b"1,0.5,1,", "line 3 has 4", "comma at the end"),
        (b"1,0,5,0,1", "line 3 has 5", "decimal points"),
        (b"1,0.5,0.6,0.7,0.8", "line 3 has 5", "with the header's columns"),
        (b"1,2" + b"0" * 5_000 + b",1", "line 3 has 5,005 bytes", "every row"),
    ],
)
def test_a_row_of_another_width_is_named_and_the_rest_read(
    row: bytes, said: str, todo: str
) -> None:
    log = Log(CHECKS)
    table = read_table(
        Text("", b"0,0.5,1\n" + row + b"\n2,1,1\n", 2, False), HEADER, log, 99, challenge().ids
    )
    (finding,) = (f for f in log.findings() if f.level is Level.FAIL and f.id == "csv-fields")
    assert finding.what == f"expected 3 fields in every row; 1 row without, {said}"
    assert todo in finding.todo
    assert table.n_rows == 3
    assert np.isnan(table.columns["Task1"]).tolist() == [False, True, False]


def test_reading_stops_at_the_bound_and_the_rest_is_counted() -> None:
    table, _ = read(b"x,0.5,1\n" * 50, most=10)
    assert len(table.lines) == 10
    assert table.n_rows == 50


def test_a_first_line_that_is_data_is_read_as_a_row() -> None:
    header = Header(3, 0, {"column 2": 1}, True)
    table, found = read(b"2,0.5,9\n", header)
    assert found == []
    assert table.columns["column 2"].tolist() == [1.0, 0.5]
    assert table.lines.tolist() == [1, 2]


def test_columns_that_are_not_asked_for_may_hold_anything() -> None:
    table, found = read(b"0,0.5,-.-e\n", Header(3, 0, {"Task1": 1}, False))
    assert found == []
    assert table.columns["Task1"].tolist() == [0.5]


def test_reading_a_good_table_imports_no_pandas() -> None:
    code = (
        "import sys; from mmctr_kit.submission.reading import table, header, text\n"
        "from mmctr_kit.submission.spec import challenge\n"
        "t = text.Text('ID,Task1', b'0,0.5\\n', 2, False)\n"
        "h = header.Header(2, 0, {'Task1': 1}, False)\n"
        "assert table._read_fast(t.rows, 2, h, challenge().ids) is not None\n"
        "assert not {'pandas', 'scipy', 'torch', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
