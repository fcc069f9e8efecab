"""Text tables: quotes, encodings, separators, and a reading that ends early."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmctr_kit.datasets.imports.sources import find_sources
from mmctr_kit.datasets.imports.spec import Table
from mmctr_kit.datasets.imports.tables import read_batches
from mmctr_kit.errors import DataError


def column(folder: Path, name: str, content: bytes, **table: object) -> list[str]:
    """The column ``title`` of a file with this content."""
    (folder / name).write_bytes(content)
    made = Table.model_validate({"files": name, **table})
    batches = read_batches(made, find_sources(made, folder, "items.files"), ["title"])
    return [text for batch in batches for text in batch.columns["title"].to_pylist()]


def test_a_text_that_is_not_utf_8_is_latin_1(tmp_path: Path) -> None:
    for encoding in ("utf-8", "latin-1"):
        content = "title\nMis\u00e9rables\n".encode(encoding)
        assert column(tmp_path, "t.csv", content) == ["Mis\u00e9rables"]


def test_quotes_enclose_in_csv_and_are_text_elsewhere(tmp_path: Path) -> None:
    assert column(tmp_path, "t.csv", b'id,title\n1,"a ""b"", c"\n') == ['a "b", c']
    # As an opening quote it would swallow the rows that follow.
    assert column(tmp_path, "t.tsv", b'id\ttitle\n1\t"7 Up\n2\tTea\n') == ['"7 Up', "Tea"]
    assert column(tmp_path, "t.tsv", b'id\ttitle\n1\t"7 Up"\n', quoting=True) == ["7 Up"]


@pytest.mark.parametrize("separator", ["::", "<sep>"])
def test_a_separator_of_several_characters_may_lie_anywhere(
    tmp_path: Path, separator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmctr_kit.datasets.imports.text_table._BLOCK", 64)
    rows = [separator.join((str(i), f"name {i}" + "x" * (i % 9))) for i in range(200)]
    content = "\n".join([separator.join(("id", "title")), *rows]).encode()
    expected = [f"name {i}" + "x" * (i % 9) for i in range(200)]
    assert column(tmp_path, "t.dat", content, separator=separator) == expected


def test_python_ends_in_peace_though_a_table_was_left_early(tmp_path: Path) -> None:
    """The CSV reader reads ahead in a thread, which would abort Python if it were still at work."""
    (tmp_path / "t.csv").write_text("id,title\n" + f"1,{'a' * 40}\n" * 1_000_000)
    script = (
        "from pathlib import Path\n"
        "from mmctr_kit.datasets.imports.sources import find_sources\n"
        "from mmctr_kit.datasets.imports.spec import Table\n"
        "from mmctr_kit.datasets.imports.tables import read_batches\n"
        "table = Table(files=('t.csv',), encoding='utf-8')\n"
        "batches = read_batches(table, find_sources(table, Path(), 'x'), ['title'])\n"
        "print(len(next(batches)) > 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_a_row_that_is_no_utf_8_and_too_short_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        DataError,
        match=r"t.csv, line 3: expected 2 fields separated by ',', found 1 in .*; mend the line, "
        r"with quotes around a field that holds ',', or remove it; faults of other kinds",
    ):
        column(tmp_path, "t.csv", b"id,title\n1,a\n\xf0\n", encoding="utf-8")
    assert capfd.readouterr().err == ""


def test_a_first_line_that_is_no_header_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="its first line is no header of a table"):
        column(tmp_path, "t.csv", b"id,ti\rtle\n1,a\n")
