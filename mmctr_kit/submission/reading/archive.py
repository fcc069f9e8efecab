"""From FILE, a zip or a bare CSV, to the bytes of its CSV, reading no more than a bound."""

import io
import stat
import struct
import zipfile
from pathlib import Path

from mmctr_kit.audit.findings import Log
from mmctr_kit.errors import UsageError, plural
from mmctr_kit.submission.reading import show
from mmctr_kit.submission.reading.zip_member import read_member
from mmctr_kit.submission.spec import Spec

_MAX_DIRECTORY = 2**20
_END = b"PK\x05\x06"
_END_REACH = 22 + 65_535
"""The end record is this near the end: its size and the longest comment."""
_MAGIC = (
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ\x00", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"PAR1", "a parquet file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"%PDF", "a PDF"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"<", "an HTML or XML page"),
    (b"{", "JSON"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)
_PACKED = frozenset(name for _, name in _MAGIC[:6]) | {"a tar archive", "a zip"}


def _make(spec: Spec) -> str:
    return f"zip it: zip -X -j NAME.zip {spec.member}"


def read_csv_bytes(path: Path, log: Log, spec: Spec) -> bytes | None:
    """The CSV inside FILE (or FILE itself if it is a bare CSV), None if it cannot be read.

    Raises UsageError if there is no FILE; everything else is written to ``log``.
    """
    raw = _read_file(path, log, spec)
    if raw is None:
        return None
    is_zip = raw.startswith((b"PK\x03\x04", _END)) or _END in raw[-_END_REACH:]
    if is_zip and spec.container == "zip":
        return _unzip(raw, log, spec)
    start = raw[:4096].lstrip()
    kind = next((name for magic, name in _MAGIC if start.startswith(magic)), None)
    kind = "a zip" if is_zip else kind
    if raw[257:262] == b"ustar":
        kind = "a tar archive"
    bare = kind is None and b"\0" not in raw[:4096]
    actual = kind or ("a bare CSV or other text" if bare else "none of the formats known here")
    if spec.container == "csv":
        if kind in (None, "UTF-16 text"):
            return raw
        unpack = "unpack it and give the CSV inside"
        todo = unpack if kind in _PACKED else "write a header and a line for each row"
        log.fail("file-readable", f"expected a CSV; by its first bytes this is {kind}", todo)
        return None
    todo = f"write {spec.member}, a header and a line for each row, and {_make(spec)}"
    if bare:
        todo = _make(spec)
    elif kind in _PACKED:
        todo = f"unpack it and {_make(spec)}"
    log.fail("zip-format", f"expected a zip; by its first bytes this is {actual}", todo)
    return raw if bare else None


def _read_file(path: Path, log: Log, spec: Spec) -> bytes | None:
    limit, wanted = spec.size.file, {"zip": "zip", "csv": "CSV"}[spec.container]
    try:
        status = path.stat()
    except (OSError, ValueError) as e:
        message = f"no submission file at '{path}'; expected the path of a .{spec.container}"
        raise UsageError(message) from e
    if not stat.S_ISREG(status.st_mode):
        actual = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        what = f"expected a {wanted} file; found {actual}"
        log.fail("file-readable", what, f"give the {wanted}'s path")
        return None
    if not 0 < status.st_size <= limit:
        what = f"expected 1 to {limit:,} bytes; found {plural(status.st_size, 'byte')}"
        log.fail("file-readable", what, "write the submission again")
        return None
    try:
        with path.open("rb") as f:
            raw = f.read(limit + 1)
    except OSError as e:
        log.fail("file-readable", f"cannot be read: {e.strerror}", "check the file's permissions")
        return None
    log.passed("file-readable", plural(len(raw), "byte"))
    return raw


def _unzip(raw: bytes, log: Log, spec: Spec) -> bytes | None:
    size = _directory_size(raw)
    if size > _MAX_DIRECTORY:
        what = f"expected one member; found a directory of {size:,} bytes, room for thousands"
        log.fail("zip-members", what, _make(spec))
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            infos = archive.infolist()
    except Exception as e:  # zipfile leaks struct, Unicode and other errors on broken input
        why = show(str(e), 60)
        log.fail(
            "zip-format",
            f"looks like a zip, but its directory cannot be read ({why}): cut short?",
            "write or upload it again; `unzip -t FILE` shows whether it is whole",
        )
        return None
    log.passed("zip-format", "a readable zip")
    _check_edges(raw, infos, log)
    member = _check_members(infos, log, spec)
    if member is None or not _check_place(member, log, spec):
        return None
    return read_member(raw, member, log, spec.size.unpacked)


def _directory_size(raw: bytes) -> int:
    """The central directory's declared size in bytes; 0 if it has no end record."""
    end = raw.rfind(_END, 0, len(raw) - 18)
    if end < 0:
        return 0
    size: int = struct.unpack_from("<I", raw, end + 12)[0]
    wide = raw.rfind(b"PK\x06\x06", 0, end)
    if wide >= 0 and wide + 48 <= len(raw):
        # a zip64 end record overrides; taking the larger can only refuse more
        size = max(size if size != 0xFFFFFFFF else 0, struct.unpack_from("<Q", raw, wide + 40)[0])
    return size


def _check_edges(raw: bytes, infos: list[zipfile.ZipInfo], log: Log) -> None:
    before = min((i.header_offset for i in infos), default=0)
    end = raw.rfind(_END, 0, len(raw) - 18)
    after = len(raw) - (end + 22 + int.from_bytes(raw[end + 20 : end + 22], "little"))
    if before > 0 or after > 0:
        what = f"expected only the zip; found {before:,} bytes before, {max(after, 0):,} after it"
        log.fail("zip-extra-bytes", what, "write it again: some readers refuse such files")
    elif after < 0:
        what = f"the zip's closing comment lacks {-after:,} bytes: cut short"
        log.fail("zip-extra-bytes", what, "upload it again")
    log.passed("zip-extra-bytes", "none")


def _check_members(infos: list[zipfile.ZipInfo], log: Log, spec: Spec) -> zipfile.ZipInfo | None:
    """Checks the list of members; returns the one that is probably meant."""
    names = [i.orig_filename for i in infos]
    if len(names) != 1:
        listed = ", ".join(show(n) for n in names[:4]) + (", ..." if len(names) > 4 else "")
        what = f"expected one member, {spec.member}; found {len(names):,}"
        log.fail("zip-members", f"{what}: {listed}" if names else what, _members_todo(names, spec))
    log.passed("zip-members", "one")
    files = [i for i in infos if not i.orig_filename.endswith(("/", "\\")) and not _junk(i)]
    exact = [i for i in files if _base(i.orig_filename) == spec.member]
    tables = [i for i in files if _base(i.orig_filename).casefold().endswith(".csv")]
    for choice in (exact, tables, files, infos):
        if choice:
            return choice[0]
    return None


def _members_todo(names: list[str], spec: Spec) -> str:
    if any("__MACOSX" in n or _base(n).startswith((".", "._")) for n in names):
        return f"macOS adds hidden members; from a terminal: zip -X -j NAME.zip {spec.member}"
    if len(set(names)) < len(names):
        return "a name occurs twice: delete the zip before writing it again, do not append"
    return f"keep only {spec.member}; {_make(spec)}"


def _junk(info: zipfile.ZipInfo) -> bool:
    name = info.orig_filename
    return "__MACOSX" in name or _base(name).startswith(".")


def _base(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _check_place(info: zipfile.ZipInfo, log: Log, spec: Spec) -> bool:
    """Checks name and kind; False if the member has no data."""
    name = info.orig_filename
    if name != spec.member:
        what = f"expected {spec.member}; found {show(name)}{_name_fault(name, spec.member)}"
        log.fail("zip-name", what, f"rename it and zip it without its folder; {_make(spec)}")
    log.passed("zip-name", spec.member)
    kind = stat.S_IFMT(info.external_attr >> 16)
    if name.endswith(("/", "\\")) or kind not in (0, stat.S_IFREG):
        actual = "a link" if kind == stat.S_IFLNK else "a folder or a special file"
        log.fail("zip-kind", f"expected a regular file; {show(name)} is {actual}", _make(spec))
        return False
    log.passed("zip-kind", "a regular file")
    return True


def _name_fault(name: str, wanted: str) -> str:
    if name.startswith(("/", "\\")) or name[1:2] == ":":
        return " (an absolute path)"
    if ".." in name.replace("\\", "/").split("/"):
        return " (a path that leaves its folder)"
    if "/" in name or "\\" in name:
        return " (in a folder)"
    return " (case matters)" if name.casefold() == wanted.casefold() else ""
