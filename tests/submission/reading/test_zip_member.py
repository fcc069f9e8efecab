import io
import struct
import tracemalloc
import zipfile
import zlib

import pytest

from mmctr_kit.audit.findings import Level, Log
from mmctr_kit.submission.checks.catalog import CHECKS
from mmctr_kit.submission.reading.zip_member import read_member

CONTENT = b"ID,Task1\n" + b"".join(b"%d,0.%d\n" % (i, i * 7919 % 997) for i in range(300))


def packed(method: int = zipfile.ZIP_DEFLATED) -> tuple[bytes, zipfile.ZipInfo]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("prediction.csv", CONTENT)
    return buffer.getvalue(), archive.infolist()[0]


def read(
    raw: bytes, info: zipfile.ZipInfo, limit: int = 2**28
) -> tuple[bytes | None, dict[str, str]]:
    log = Log(CHECKS)
    content = read_member(raw, info, log, limit)
    return content, {f.id: f.what for f in log.findings() if f.level is Level.FAIL}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_whole_member_is_read(method: int) -> None:
    assert read(*packed(method)) == (CONTENT, {})


def test_a_size_that_understates_the_data_is_found_though_the_crc_was_made_to_fit() -> None:
    """zipfile itself reads such a member without complaint: it stops at the declared size."""
    raw, info = packed()
    info.file_size, info.CRC = 100, zlib.crc32(CONTENT[:100])
    raw = raw[:14] + struct.pack("<III", info.CRC, info.compress_size, 100) + raw[26:]
    content, found = read(raw, info)
    assert content is None
    assert found == {
        "zip-data": f"the zip's directory promises 100 bytes; its data holds {len(CONTENT):,}"
    }


def test_data_that_stops_early_or_goes_on_is_found() -> None:
    raw, info = packed()
    end = info.compress_size - 20
    info.compress_size = end
    content, found = read(raw[:18] + struct.pack("<I", end) + raw[22:], info)
    assert content is None
    assert "stops after" in found["zip-data"]
    raw, info = packed()
    info.compress_size += 3
    content, found = read(raw[:18] + struct.pack("<I", info.compress_size) + raw[22:], info)
    assert content is None
    assert "3 more bytes" in found["zip-data"]


def test_a_header_outside_the_file_is_found() -> None:
    raw, info = packed()
    for at in (-5, 7, len(raw) - 3, 10**15):
        info.header_offset = at
        content, found = read(raw, info)
        assert content is None
        assert "no member starts" in found["zip-data"]
    raw, info = packed()
    content, found = read(raw[:200], info)
    assert "cut short" in found["zip-data"]


def test_a_bomb_takes_little_memory() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("prediction.csv", bytes(60_000_000))
    tracemalloc.start()
    try:
        content, found = read(buffer.getvalue(), archive.infolist()[0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert content is None
    assert list(found) == ["zip-bomb"]
    assert peak < 20_000_000


def test_unpacking_stops_at_the_bound() -> None:
    raw, info = packed()
    info.file_size = 1
    content, found = read(raw[:22] + struct.pack("<I", 1) + raw[26:], info, 1_000)
    assert content is None
    assert "unpacks to more than 1,000 bytes" in found["zip-bomb"]
