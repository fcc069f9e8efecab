"""mmctr_kit.datasets.imports.bad_cells: all bad cells of a log told in one line."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmctr_kit.datasets.imports import text_table
from mmctr_kit.datasets.imports.log import read_log
from mmctr_kit.datasets.imports.spec import Spec
from mmctr_kit.errors import DataError
from tests.datasets.imports.made import spec_of

DATES = {"time_unit": "iso"}


def error_of(folder: Path, rows: list[str], spec: Spec) -> str:
    """What an import of these rows says."""
    (folder / "log.csv").write_text("\n".join(["user,item,time,rating", *rows]) + "\n")
    with pytest.raises(DataError) as caught:
        read_log(spec, folder, lambda *_: None)
    return str(caught.value).removeprefix(f"{folder}/")


def rows_of(count: int, **cells: dict[int, str]) -> list[str]:
    """Rows of good cells, but for ``cells``: of a column, by line of the file."""
    good = {"user": "u{}", "item": "i{}", "time": "2024-01-01T00:00:{:02}", "rating": "5"}
    return [
        ",".join(cells.get(c, {}).get(n + 2, text.format(n % 60)) for c, text in good.items())
        for n in range(count)
    ]


def test_all_kinds_are_told_at_once_with_their_count_and_first_line(tmp_path: Path) -> None:
    rows = rows_of(30, rating={5: "five", 6: "", 9: "six"}, item={9: "", 20: "", 21: ""})
    assert error_of(tmp_path, rows, spec_of(interactions=DATES)) == (
        "log.csv: 5 rows cannot be used: rating is 'five' (line 5, the first of 2; expected a "
        "number), rating is empty (line 6), no item (line 9, the first of 3); mend or remove them, "
        "or mend the SPEC if they are right"
    )


def test_one_bad_cell_alone_says_what_was_expected(tmp_path: Path) -> None:
    rows = rows_of(9, rating={5: "five"})
    told = error_of(tmp_path, rows, spec_of(interactions=DATES))
    assert told == "log.csv, line 5: rating is 'five'; expected a number"


def test_of_many_kinds_five_are_named(tmp_path: Path) -> None:
    rows = rows_of(
        20, user={3: ""}, item={4: ""}, time={5: "", 6: "soon", 8: "2024-13-01"},
        rating={6: "", 7: "x"},
    )  # fmt: skip
    told = error_of(tmp_path, rows, spec_of(interactions=DATES))
    for part in (
        "6 rows cannot", "no user (line 3)", "no item (line 4)", "time is empty (line 5)",
        "rating is empty (line 6), time is 'soon' (line 6, the first of 2; expected a date and ",
        "), and 1 other kind; mend",
    ):  # fmt: skip
        assert part in told
    assert "'x'" not in told


def test_files_are_told_apart_where_several_have_bad_cells(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("user,item,time,rating\nu,i,2024-01-01,good\n")
    spec = spec_of(interactions={"files": ["log.csv", "b.csv"], "positive": "rating >= 4", **DATES})
    told = error_of(tmp_path, rows_of(3, item={3: ""}), spec)
    assert told.startswith("interactions.files: 2 rows cannot be used: no item (")
    assert "log.csv, line 3), rating is 'good' (" in told
    assert "b.csv, line 2; expected a number)" in told


@pytest.mark.parametrize("times", [("1600000000", ""), ("1600000000", "x")])
def test_a_few_bad_cells_do_not_hide_the_unit_of_time(tmp_path: Path, times: Any) -> None:
    good, bad = times
    rows = rows_of(9, time=dict.fromkeys(range(2, 11), good) | {4: bad})
    told = error_of(tmp_path, rows, spec_of(interactions={"time_unit": "auto"}))
    assert told.startswith("log.csv, line 4: time is ")
    assert told.endswith("; expected a number")


@settings(max_examples=20)
@given(
    bad=st.lists(
        st.tuples(st.integers(2, 31), st.sampled_from(["user", "item", "rating", "time"])),
        min_size=2, max_size=12, unique=True,
    ),
    word=st.sampled_from(["", "bad"]),
)  # fmt: skip
def test_the_count_is_that_of_rows_however_the_file_is_cut_into_batches(
    tmp_path_factory: pytest.TempPathFactory, bad: list[tuple[int, str]], word: str
) -> None:
    cells: dict[str, dict[int, str]] = {}
    for line, column in bad:
        cells.setdefault(column, {})[line] = word if column in ("rating", "time") else ""
    lines = {line for line, _ in bad}
    folder, spec = tmp_path_factory.mktemp("log"), spec_of(interactions=DATES)
    whole = error_of(folder, rows_of(30, **cells), spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_table, "_BLOCK", 128)  # three rows or so
        told = error_of(folder, rows_of(30, **cells), spec)
    assert told == whole
    if len(lines) > 1 or len(cells) > 1:
        assert f": {len(lines)} row" in told
        assert f"line {min(lines)}" in told
