"""Removing submissions from the ledger."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from mmctr_kit.errors import UsageError, did_you_mean, plural, unwritable
from mmctr_kit.files import locked, write_whole
from mmctr_kit.submission.ledger import (
    ENTRY,
    Entry,
    LeaderboardScore,
    Ledger,
    Submitted,
    read_ledger,
)


def entries_of(path: Path, names: Sequence[str]) -> list[Submitted]:
    """The submissions of these names: files, as they are or were called, runs, or checksums.

    Of a checksum the first eight digits suffice. Raises UsageError if a name is none of these.
    """
    ledger = read_ledger(path)
    named = [_named(ledger, name, path) for name in names]
    return [entry for entry in ledger.submitted if any(entry in each for each in named)]


def _named(ledger: Ledger, name: str, path: Path) -> list[Submitted]:
    named = [e for e in ledger.submitted if name in (e.file, e.run) or _begins(e.sha256, name)]
    if not named and Path(name).is_file() and (entry := ledger.find(Path(name))) is not None:
        named = [e for e in ledger.submitted if e.sha256 == entry.sha256]
    if not named:
        known = [text for e in ledger.submitted for text in (e.file, e.run)]
        raise UsageError(
            f"'{name}'{did_you_mean(name, known)} is no file, run or checksum of the "
            f"{plural(len(ledger.submitted), 'submission')} in {path}"
        )
    return named


def _begins(sha256: str, name: str) -> bool:
    return len(name) >= 8 and sha256.startswith(name.lower())


def remove_entries(path: Path, going: Sequence[Submitted]) -> None:
    """Remove submissions, and the scores of files that no other submission is of.

    Lines that cannot be read stay. Raises UsageError if the ledger cannot be written.
    """
    try:
        with locked(path, wait=True):
            lines = path.read_bytes().splitlines()
            known = {line: entry for line in lines if (entry := _entry_in(line)) is not None}
            kept = [e for e in known.values() if isinstance(e, Submitted) and e not in going]
            files = {e.sha256 for e in going} - {e.sha256 for e in kept}

            def stays(line: bytes) -> bool:
                entry = known.get(line)
                scored = isinstance(entry, LeaderboardScore) and entry.sha256 in files
                return entry not in going and not scored

            text = b"".join(line + b"\n" for line in lines if stays(line))
            write_whole(path.resolve(), lambda part: part.write_bytes(text))
    except OSError as e:
        raise unwritable(f"the ledger '{path}' cannot be written ({e.strerror})", e) from e


def _entry_in(line: bytes) -> Entry | None:
    try:
        return ENTRY.validate_json(line)
    except ValidationError:
        return None
