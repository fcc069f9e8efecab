"""Optuna's journal file, behind a lock that is released when its holder is killed.

Optuna's own locks are files that a killed worker leaves behind: the others then wait for it, for 30
seconds or, if the journal's path is relative, for ever. Optuna's RDBStorage has heartbeats and
retries of its own, but needs a database: SQLite's locks break on the network disks that several
machines share, and a database server is more than a tune command may ask for. So the journal is
used, with the heartbeats of :mod:`mmctr_kit.tuning.heartbeat` beside it.
"""

from contextlib import ExitStack
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from mmctr_kit.files import locked


def journal_storage(path: Path) -> JournalStorage:
    """The storage in the journal at ``path``, created if it does not exist."""
    return JournalStorage(JournalFileBackend(str(path), JournalLock(path)))


class JournalLock(JournalFileOpenLock):
    """Held by one writer at a time; half a line that a killed writer left is cut off."""

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal), grace_period=None)
        self.journal = journal.resolve()
        self._held = ExitStack()

    def acquire(self) -> bool:
        """Wait for the lock, then make the journal end with a whole line."""
        self._held.enter_context(locked(self.journal, wait=True))
        self._cut_off_half_a_line()
        return True

    def release(self) -> None:
        """Let the next writer in."""
        self._held.close()

    def _cut_off_half_a_line(self) -> None:
        with self.journal.open("r+b") as handle:
            end = handle.seek(0, 2)
            if end == 0:
                return
            handle.seek(end - 1)
            if handle.read() != b"\n":
                handle.seek(0)
                handle.truncate(handle.read().rfind(b"\n") + 1)
