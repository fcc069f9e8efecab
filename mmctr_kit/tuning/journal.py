"""Trials in a file: Optuna's journal, which every worker of the study can read and write."""

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from mmctr_kit.errors import RunError
from mmctr_kit.files import locked
from mmctr_kit.tuning.heartbeat import WORKER, alive_workers
from mmctr_kit.tuning.journal_sum import require_intact, sum_up

NAME = "study"
"""The study's name in its journal, which holds only this one."""

T = TypeVar("T")


class Journal:
    """The trials of a study in ``study.journal`` in its folder."""

    listen: Callable[[str], None] | None = None
    """Never called: a file is not waited for."""

    def __init__(self, folder: Path) -> None:
        self.path, self._claim = folder / "study.journal", folder / "claim"

    def create(self) -> optuna.Study:
        """Begin the journal of a new study."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage = journal_storage(self.path)
        return optuna.create_study(study_name=NAME, storage=storage, direction="maximize")

    def study(self) -> optuna.Study:
        """Read the study as it is now.

        Raises RunError on a machine that does not see its folder, and if a line was changed.
        """
        if not self.path.parent.is_dir():
            raise RunError(
                f"{self.path.parent} is not seen on {socket.gethostname()}; give --runs on a disk "
                "that all machines share, or --storage URL"
            )
        require_intact(self.path)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        return optuna.load_study(study_name=NAME, storage=journal_storage(self.path))

    def exclusively(self, work: Callable[[], T], patience: float | None = None) -> T:
        """Do ``work`` while no other worker of the study does any."""
        del patience  # the file is there
        with locked(self._claim, wait=True):
            return work()

    def dead(self, study: optuna.Study, leases: Path) -> list[FrozenTrial]:
        """The running trials whose worker is not alive, or was killed before it wrote its name."""
        alive = alive_workers(leases)
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [t for t in running if t.user_attrs.get(WORKER) not in alive]


def journal_storage(path: Path) -> JournalStorage:
    """The storage in the journal at ``path``, created if it does not exist."""
    return JournalStorage(JournalFileBackend(str(path), JournalLock(path)))


class JournalLock(JournalFileOpenLock):
    """The lock of a journal file, released when its holder is killed; its holders sum it up.

    Optuna's own locks are files that a killed worker leaves behind: the others then wait for it,
    for 30 seconds or, if the journal's path is relative, for ever.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal), grace_period=None)
        self.journal = journal.resolve()
        self._held = ExitStack()

    def acquire(self) -> bool:
        """Wait for the lock, then cut off half a line that a killed writer left."""
        with ExitStack() as held:
            held.enter_context(locked(self.journal, wait=True))
            require_intact(self.journal)
            with self.journal.open("r+b") as handle:
                end = handle.seek(0, 2)
                handle.seek(max(end - 1, 0))
                if end and handle.read() != b"\n":
                    handle.seek(0)
                    handle.truncate(handle.read().rfind(b"\n") + 1)
            self._held = held.pop_all()
        return True

    def release(self) -> None:
        """Sum up the journal, and let the next writer in."""
        with self._held:
            sum_up(self.journal)
