"""The line of a row is the one that Python's and Arrow's CSV readers find it in."""

import csv
import io
from pathlib import Path

import pyarrow.csv as pacsv
from hypothesis import given
from hypothesis import strategies as st

from mmctr_kit.data.text_lines import line_of, place_of

CELLS = st.lists(st.sampled_from(["x", 'say "so"', "two\nlines", "a,b", "\n\n"]), min_size=1)


@given(CELLS, st.lists(st.integers(0, 2), min_size=30, max_size=30))
def test_a_record_begins_where_it_was_written(cells: list[str], gaps: list[int]) -> None:
    out, begins = io.StringIO(), []
    for cell, gap in zip(["title", *cells[:20]], gaps, strict=False):
        out.write("\n" * gap)
        begins.append(out.getvalue().count("\n") + 1)
        csv.writer(out, lineterminator="\n").writerow([cell, "1"])
    raw = out.getvalue().encode()
    lines = raw.splitlines(keepends=True)
    assert [line_of(lines, k) for k in range(1, len(begins) + 1)] == begins
    assert line_of(lines, len(begins) + 1) is None
    read = pacsv.read_csv(
        io.BytesIO(raw.lstrip(b"\n")), parse_options=pacsv.ParseOptions(newlines_in_values=True)
    )
    assert read.num_rows == len(begins) - 1


def test_without_quotes_each_line_that_is_not_empty_is_a_record() -> None:
    assert [line_of([b'a"\n', b"\r\n", b"b\n"], k, b"") for k in (1, 2, 3)] == [1, 3, None]


def test_a_row_is_a_line_of_a_csv_file_and_a_number_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a\n\n1\n2\n")
    assert place_of(tmp_path / "x.csv", 1) == "line 4"
    assert place_of(tmp_path / "x.parquet", 1) == "row 2 (from 1)"
