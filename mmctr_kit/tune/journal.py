"""Optuna's journal file, behind a lock that the system frees when its holder is killed.

Optuna's own locks are files that a killed worker leaves behind: the others then wait for it, for 30
seconds or, where the journal's path is relative, for ever.
"""

import fcntl
from pathlib import Path
from typing import IO

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock


def journal_storage(path: Path) -> JournalStorage:
    """The storage in the journal at ``path``, made where there is none."""
    return JournalStorage(JournalFileBackend(str(path), JournalLock(path)))


class JournalLock(JournalFileOpenLock):
    """Held by one writer at a time; half a line that a killed one left is cut off."""

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal), grace_period=None)
        self.journal = journal.resolve()
        self._held: IO[str] | None = None

    def acquire(self) -> bool:
        """Wait for the lock, and leave the journal at the end of a line."""
        # A name of its own: Optuna's lock files are links, and may be left from elsewhere.
        held = self.journal.with_name(f".{self.journal.name}.writing").open("w")
        fcntl.flock(held, fcntl.LOCK_EX)
        self._held = held
        self._mend()
        return True

    def release(self) -> None:
        """Let the next writer in."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def _mend(self) -> None:
        with self.journal.open("r+b") as handle:
            end = handle.seek(0, 2)
            if end == 0:
                return
            handle.seek(end - 1)
            if handle.read() != b"\n":
                handle.seek(0)
                handle.truncate(handle.read().rfind(b"\n") + 1)
