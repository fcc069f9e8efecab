import io
import os
import struct
import zipfile
from pathlib import Path

import pytest

from mmctr_kit.audit.findings import Level, Log
from mmctr_kit.submission.checks.catalog import CHECKS
from mmctr_kit.submission.reading.archive import read_csv_bytes
from mmctr_kit.submission.spec import SizeSpec, Spec, challenge


def packed(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        for name, content in members:
            z.writestr(name, content)
    return buffer.getvalue()


def read(
    tmp_path: Path, raw: bytes, spec: Spec | None = None
) -> tuple[bytes | None, dict[str, str]]:
    (tmp_path / "s.zip").write_bytes(raw)
    log = Log(CHECKS)
    content = read_csv_bytes(tmp_path / "s.zip", log, spec or challenge())
    return content, {f.id: f.what for f in log.findings() if f.level is not Level.PASS}


def test_among_several_members_the_one_that_is_meant_is_read_on(tmp_path: Path) -> None:
    raw = packed(
        (".DS_Store", b"1"), ("a.txt", b"2"), ("out/prediction.csv", b"3"), ("b.csv", b"4")
    )
    content, found = read(tmp_path, raw)
    assert content == b"3"
    assert found["zip-members"].endswith(
        "found 4: '.DS_Store', 'a.txt', 'out/prediction.csv', 'b.csv'"
    )
    assert found["zip-name"] == "expected prediction.csv; found 'out/prediction.csv' (in a folder)"


def test_a_bare_csv_is_read_on_and_a_known_format_is_named(tmp_path: Path) -> None:
    content, found = read(tmp_path, b"ID,Task1\n0,1\n")
    assert content == b"ID,Task1\n0,1\n"
    assert "a bare CSV" in found["zip-format"]
    for magic, name in ((b"\x1f\x8b", "gzip"), (b"PAR1", "parquet"), (b"  <html>", "HTML")):
        content, found = read(tmp_path, magic + bytes(50))
        assert content is None
        assert name in found["zip-format"]
    content, found = read(tmp_path, b"prediction.csv".ljust(257, b"\0") + b"ustar" + bytes(250))
    assert "tar" in found["zip-format"]


def test_bytes_around_the_zip_are_counted(tmp_path: Path) -> None:
    raw = packed(("prediction.csv", b"x"))
    content, found = read(tmp_path, b"12345" + raw + b"678")
    assert content == b"x"
    assert found == {"zip-extra-bytes": "expected only the zip; found 5 bytes before, 3 after it"}


def test_a_comment_cut_short_is_noticed(tmp_path: Path) -> None:
    raw = packed(("prediction.csv", b"x"))
    content, found = read(tmp_path, raw[:-2] + struct.pack("<H", 40) + b"only this")
    assert content == b"x"
    assert "lacks 31 bytes" in found["zip-extra-bytes"]


def test_a_directory_of_thousands_is_refused_before_it_is_read(tmp_path: Path) -> None:
    names = [(f"{i:0200}.csv", b"") for i in range(4_500)]
    content, found = read(tmp_path, packed(*names))
    assert content is None
    assert list(found) == ["zip-members"]


def test_a_directory_that_zipfile_stumbles_over_is_a_finding(tmp_path: Path) -> None:
    raw = packed(("é.csv", b"x"))
    assert raw.count("é".encode()) == 2
    content, found = read(tmp_path, raw.replace("é".encode(), b"\xc3\xc3"))
    assert content is None
    assert "cannot be read" in found["zip-format"]
    several_disks = b"PK\x06\x07" + struct.pack("<IQI", 1, 0, 2) + b"PK\x05\x06" + bytes(18)
    content, found = read(tmp_path, b"x" * 9 + several_disks)
    assert content is None
    assert "cannot be read" in found["zip-format"]


def test_a_zip64_file_is_read(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z, z.open("prediction.csv", "w", force_zip64=True) as f:
        f.write(b"ID,Task1\n")
    assert read(tmp_path, buffer.getvalue()) == (b"ID,Task1\n", {})


def test_a_streamed_zip_with_sizes_behind_the_data_is_read(tmp_path: Path) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    buffer = Pipe()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("prediction.csv", b"ID,Task1\n")
    assert read(tmp_path, buffer.getvalue()) == (b"ID,Task1\n", {})


def test_a_file_beyond_the_bound_or_no_regular_file_is_not_read(tmp_path: Path) -> None:
    small = challenge().model_copy(update={"size": SizeSpec(file=10)})
    content, found = read(tmp_path, b"ID,Task1\n0,1\n", small)
    assert content is None
    assert found == {"file-readable": "expected 1 to 10 bytes; found 13 bytes"}
    os.mkfifo(tmp_path / "pipe")
    log = Log(CHECKS)
    assert read_csv_bytes(tmp_path / "pipe", log, challenge()) is None
    assert [f.id for f in log.findings()] == ["file-readable"]


@pytest.mark.parametrize(
    ("raw", "todo"),
    [
        (b"\x1f\x8b" + bytes(99), "unpack it and zip it"),
        (b"PAR1" + bytes(99), "write prediction.csv, a header and a line for each row, and zip it"),
        (b"ID,Task1\n0,0.5\n", "zip it"),
    ],
)
def test_what_is_no_zip_is_told_how_to_become_one(tmp_path: Path, raw: bytes, todo: str) -> None:
    log = Log(CHECKS)
    (tmp_path / "x").write_bytes(raw)
    read_csv_bytes(tmp_path / "x", log, challenge())
    found = next(f for f in log.findings() if f.id == "zip-format")
    assert found.todo.startswith(todo)
