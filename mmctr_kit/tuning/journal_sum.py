"""The digest of a study's journal, in ``study.journal.sum``, which grows with it.

Each line's sha256 is taken together with that of the line before, and the last one is written, with
the number of bytes that it covers, whenever lines are added. So a line that is changed or lost is
noticed, but in what a killed writer had not summed up yet.
"""

import hashlib
import re
from pathlib import Path

from mmctr_kit.files import regular, write_whole
from mmctr_kit.runs.seal import damaged

_KNOWN: dict[Path, tuple[int, str]] = {}
"""How far this process has read each journal, and the digest up to there."""


def sum_file(journal: Path) -> Path:
    """The file with the journal's digest."""
    return journal.with_name(f"{journal.name}.sum")


def require_intact(journal: Path, anew: bool = False) -> None:
    """Raise RunError if a line of the journal was changed since it was written, or is missing.

    Nothing is known of a journal that an earlier version began. Lines that this process has
    compared before are not read again, unless ``anew``.
    """
    file = sum_file(journal)
    if not file.is_file():
        return
    text = regular(file).read_bytes()
    read = re.fullmatch(rb"(\d{1,18}) ([0-9a-f]{64}) [0-9a-f]{64}\n", text)
    if read is None or text != _line(size := int(read[1]), digest := read[2].decode()).encode():
        raise damaged(journal.parent, file.name, "was changed")
    if not journal.is_file():
        raise damaged(journal.parent, journal.name, "is missing")
    if _digest(journal, size, anew) != digest:
        raise damaged(journal.parent, journal.name, "was changed")
    _KNOWN[journal.resolve()] = size, digest


def sum_up(journal: Path) -> None:
    """Write the digest of all whole lines that the journal has now; its lock must be held."""
    size = _whole_lines(journal)
    digest = _digest(journal, size, anew=False)
    write_whole(sum_file(journal), lambda p: p.write_text(_line(size, digest)))
    _KNOWN[journal.resolve()] = size, digest


def _line(size: int, digest: str) -> str:
    """The line in the file, with a digest of its own."""
    text = f"{size} {digest}"
    return f"{text} {hashlib.sha256(text.encode()).hexdigest()}\n"


def _digest(journal: Path, size: int, anew: bool) -> str:
    """The digest of the first ``size`` bytes, or of all that there are."""
    begin, digest = _KNOWN.get(journal.resolve(), (0, ""))
    if anew or begin > size:
        begin, digest = 0, ""
    with journal.open("rb") as handle:
        handle.seek(begin)
        content = handle.read(size - begin)
    for line in content.split(b"\n")[:-1]:
        digest = hashlib.sha256(digest.encode() + line).hexdigest()
    complete = len(content) == size - begin and content[-1:] in (b"\n", b"")
    return digest if complete else ""


def _whole_lines(journal: Path) -> int:
    with journal.open("rb") as handle:
        begin, _ = _KNOWN.get(journal.resolve(), (0, ""))
        handle.seek(begin)
        return begin + handle.read().rfind(b"\n") + 1
