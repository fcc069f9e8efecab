"""Reads one zip member from its local header and data, within a bound.

:mod:`zipfile` stops silently at the size that the directory declares, so it would not notice
wrong headers; here the data is followed to its end, and compared with every header.
"""

import struct
import zipfile
import zlib

from mmctr_kit.audit.findings import Log

_MAX_RATIO = 100
"""IDs keep a real submission under 20:1, even with every score column constant."""
_RATIO_FREE = 2**20

_AGAIN = "write or upload it again; `unzip -t FILE` shows whether it is whole"


def read_member(raw: bytes, info: zipfile.ZipInfo, log: Log, max_bytes: int) -> bytes | None:
    """The member ``info`` of the zip ``raw``, unpacked; None (and a FAIL) if it is broken.

    Nothing is read beyond ``max_bytes`` of unpacked data.
    """
    if not _readable(info, log, max_bytes):
        return None
    packed, fault = _packed(raw, info)
    if fault:
        log.fail("zip-data", fault, _AGAIN)
        return None
    out = packed if info.compress_type == zipfile.ZIP_STORED else _inflate(packed, log, max_bytes)
    if out is None:
        return None
    log.passed("zip-bomb", f"{len(out):,} bytes unpacked")
    if len(out) != info.file_size:
        what = f"the zip's directory promises {info.file_size:,} bytes; its data holds {len(out):,}"
        log.fail("zip-data", what, _AGAIN)
        return None
    if zlib.crc32(out) != info.CRC:
        what = f"expected CRC {info.CRC:08x}; found {zlib.crc32(out):08x}: bytes have changed"
        log.fail("zip-data", what, _AGAIN)
        return None
    log.passed("zip-data", "size and CRC agree")
    return out


def _readable(info: zipfile.ZipInfo, log: Log, max_bytes: int) -> bool:
    if info.flag_bits & 0x41 or info.compress_type == 99:
        log.fail("zip-encryption", "the member is encrypted", "zip it without a password")
        return False
    log.passed("zip-encryption", "none")
    method = info.compress_type
    if method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        what = f"expected method 0 (stored) or 8 (deflated); found {method} (12 is bzip2, 14 LZMA)"
        log.fail("zip-method", what, "zip it with the default method, deflate")
        return False
    log.passed("zip-method", "deflated" if method else "stored")
    if info.file_size > max_bytes:
        _bomb(f"says that it unpacks to {info.file_size:,} bytes", log, max_bytes)
        return False
    return True


def _packed(raw: bytes, info: zipfile.ZipInfo) -> tuple[bytes, str]:
    """The member's compressed bytes, and what is wrong with its local header ('' if nothing)."""
    at = info.header_offset
    if at < 0 or at + 30 > len(raw) or raw[at : at + 4] != b"PK\x03\x04":
        return b"", "the zip's directory points to where no member starts"
    flags, method, packed, size, name_len, extra_len = struct.unpack_from("<HH8xIIHH", raw, at + 6)
    differ = "the member's header and the zip's directory differ in its "
    encoding = "utf-8" if info.flag_bits & 0x800 else "cp437"
    if raw[at + 30 : at + 30 + name_len] != info.orig_filename.encode(encoding, "replace"):
        return b"", differ + "name"
    if method != info.compress_type or (flags ^ info.flag_bits) & 0x1:
        return b"", differ + "method"
    pairs = ((packed, info.compress_size), (size, info.file_size))
    # sizes come after the data with flag 8, and in the extra field with zip64
    if not flags & 0x8 and any(size not in (listed, 0xFFFFFFFF) for size, listed in pairs):
        return b"", differ + "sizes"
    start = at + 30 + name_len + extra_len
    data = raw[start : start + info.compress_size]
    if len(data) < info.compress_size:
        return b"", f"expected {info.compress_size:,} bytes of data; found {len(data):,}: cut short"
    return data, ""


def _inflate(packed: bytes, log: Log, max_bytes: int) -> bytes | None:
    bound = min(max_bytes, max(_RATIO_FREE, _MAX_RATIO * len(packed)))
    inflater = zlib.decompressobj(-15)
    try:
        out = inflater.decompress(packed, bound + 1)
    except zlib.error as e:
        log.fail("zip-data", f"the deflated data is broken ({e})", _AGAIN)
        return None
    if len(out) > bound:
        _bomb(f"unpacks to more than {bound:,} bytes from {len(packed):,}", log, max_bytes)
        return None
    if not inflater.eof:
        log.fail("zip-data", f"the deflated data stops after {len(out):,} bytes", _AGAIN)
        return None
    if inflater.unused_data:
        rest = len(inflater.unused_data)
        log.fail("zip-data", f"{rest:,} more bytes behind the end of the deflated data", _AGAIN)
        return None
    return out


def _bomb(problem: str, log: Log, max_bytes: int) -> None:
    what = f"expected up to {max_bytes:,} bytes and {_MAX_RATIO}:1; the member {problem}"
    log.fail("zip-bomb", what, "write the submission again; do not unpack this file")
