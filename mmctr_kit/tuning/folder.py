"""A study's folder: its settings, Optuna's journal, and the heartbeats of its workers.

settings.json   the recipe, the search, the data's fingerprint and the package's version; a study
                of other settings is refused
study.journal   Optuna's journal of every trial, for ``optuna-dashboard study.journal`` too
leases/         a heartbeat file for each worker
finalists/      the finalists' runs
study.json      the whole study, for its report
best.yaml       the recipe that was chosen
"""

import errno
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from mmctr_kit.files import locked, made_folder, write_json
from mmctr_kit.tuning.conflict import SETTINGS, occupied, require_same
from mmctr_kit.tuning.heartbeat import alive_workers

NAME = "study"
"""The study's name in its journal, which holds only this one."""
WORKER, REFUSED, RETRY = "worker", "refused", "retry of"
"""User attributes of a trial: its worker, why it was refused, and which trial it repeats."""


class StudyFolder:
    """``runs/NAME.study``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heartbeats = path / "leases"
        self.journal = path / "study.journal"

    def finalist(self, number: int) -> Path:
        """The folder of the run of a trial's finalist."""
        return self.path / "finalists" / f"trial-{number}"

    def study(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        return optuna.load_study(study_name=NAME, storage=journal_storage(self.journal))

    def claiming(self) -> AbstractContextManager[None]:
        """Exclude all other workers, to look at the trials and then begin or end one."""
        return locked(self.path / "claim", wait=True)

    def reap(self) -> list[FrozenTrial]:
        """Mark the trials of dead workers as failed and queue each once more; returns them."""
        with self.claiming():
            alive = alive_workers(self.heartbeats)
            study = self.study()
            dead = [
                t
                for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
                # A trial without a worker: it was killed before it could write its name.
                if WORKER not in t.user_attrs or t.user_attrs[WORKER] not in alive
            ]
            for trial in dead:
                requeue(study, trial)
        return dead


def requeue(study: optuna.Study, trial: FrozenTrial) -> None:
    """Mark an interrupted trial as failed, and queue it again unless it is itself a repetition.

    A trial that has ended already is left as it is.
    """
    if trial.state.is_finished():
        return
    study.tell(trial.number, state=TrialState.FAIL)
    if RETRY not in trial.user_attrs:
        study.enqueue_trial(trial.params, user_attrs={RETRY: trial.number})


def sampler(seed: int) -> TPESampler:
    """Multivariate TPE, with a separate model for each group of keys that are asked together."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # group
        return TPESampler(seed=seed, multivariate=True, group=True)


def journal_storage(path: Path) -> JournalStorage:
    """The storage in the journal at ``path``, created if it does not exist."""
    return JournalStorage(JournalFileBackend(str(path), JournalLock(path)))


class JournalLock(JournalFileOpenLock):
    """The lock of a journal file, released when its holder is killed.

    Optuna's own locks are files that a killed worker leaves behind: the others then wait for it,
    for 30 seconds or, if the journal's path is relative, for ever. Optuna's RDBStorage has
    heartbeats and retries of its own, but needs a database: SQLite's locks break on the network
    disks that several machines share, and a database server is more than a tune command may ask
    for. So the journal is used, with the heartbeats of :mod:`mmctr_kit.tuning.heartbeat` beside it.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal), grace_period=None)
        self.journal = journal.resolve()
        self._held = ExitStack()

    def acquire(self) -> bool:
        """Wait for the lock, then cut off half a line that a killed writer left."""
        self._held.enter_context(locked(self.journal, wait=True))
        with self.journal.open("r+b") as handle:
            end = handle.seek(0, 2)
            handle.seek(max(end - 1, 0))
            if end and handle.read() != b"\n":
                handle.seek(0)
                handle.truncate(handle.read().rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        """Let the next writer in."""
        self._held.close()


def open_study(
    path: Path, settings: Mapping[str, Any], first: Mapping[str, Any], force: bool
) -> StudyFolder:
    """The study folder of these settings, created if it does not exist.

    ``first`` are the parameters of its first trial. With ``force`` an existing study is replaced.
    Raises RunError if the folder holds a study of other settings, or something else, or with
    ``force`` one that is at work.
    """
    folder = StudyFolder(path)
    if occupied(path, force) and not force:
        require_same(path, settings)
        return folder
    # A command that trains the finalists holds this lock, and keeps no heartbeat.
    with locked(path) if force else nullcontext():
        try:
            with made_folder(path, force) as part:
                _fill(StudyFolder(part), settings, first)
        except OSError as e:
            if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            # Another command created it meanwhile: this one joins in.
            require_same(path, settings)
    return folder


def _fill(folder: StudyFolder, settings: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    folder.heartbeats.mkdir()
    write_json(folder.path / SETTINGS, settings)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = journal_storage(folder.journal)
    study = optuna.create_study(study_name=NAME, storage=storage, direction="maximize")
    study.set_user_attr("recipe", settings["recipe"]["name"])
    study.set_user_attr("objective", "mean fold AUC less its standard error")
    study.enqueue_trial(dict(first), user_attrs={"recipe's own values": True})
