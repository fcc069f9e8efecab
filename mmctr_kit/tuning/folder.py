"""A study's folder, and the trials of the study in its journal or in a database.

settings.json   the recipe, the search, the data's fingerprint, the package's version and, if it is
                a database, where the trials are; a study of other settings is refused
study.journal   Optuna's journal of every trial, for ``optuna-dashboard study.journal`` too
study.journal.sum  its digest, which tells whether a line of it was changed
leases/         a heartbeat file for each worker on this machine
finalists/      the finalists' runs
study.json      the whole study, for its report
best.yaml       the recipe that was chosen
DONE            the seal of settings.json, study.json, best.yaml and the seals of the finalists'
                runs, while no command is at work on the study

In a database every machine has its own folder of the study, and they share the trials.
"""

import errno
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import optuna
from optuna.samplers import TPESampler
from optuna.storages._heartbeat import BaseHeartbeat, get_heartbeat_thread
from optuna.trial import FrozenTrial, Trial, TrialState

from mmctr_kit.errors import RunError
from mmctr_kit.files import locked, made_folder, write_json
from mmctr_kit.tuning.conflict import (
    SETTINGS,
    STORAGE,
    occupied,
    require_same,
    require_same_there,
)
from mmctr_kit.tuning.heartbeat import SILENT_SECONDS, WORKER, dead_workers, forget_workers
from mmctr_kit.tuning.journal import Journal

if TYPE_CHECKING:
    from mmctr_kit.tuning.database import Database

REFUSED, RETRY, SETTLED = "refused", "retry of", "settings"
"""User attributes of a trial: why it was refused, which trial it repeats, the recipe's settings."""
ROW_SECONDS, START_SECONDS = "seconds per predicted row", "seconds of its worker's start"
"""User attributes of a complete trial, for an estimate of its finalist."""
UNCHANGED = "recipe's own values"
"""User attribute of the trial that tries the recipe as it is."""

T = TypeVar("T")


class Storage(Protocol):
    """Where the trials of a study are stored: a journal or a database.

    ``listen`` is called with a line when a lost database begins to be waited for; None warns.
    """

    listen: Callable[[str], None] | None

    def study(self) -> optuna.Study:
        """The study, whose trials are up to date when it is asked for them."""

    def exclusively(self, work: Callable[[], T], patience: float | None) -> T:
        """Do ``work`` while no other worker of the study does any.

        A database may be lost meanwhile: then the work is done again when it is back. Raises
        RunError if that takes more than ``patience`` seconds; None is the storage's own patience.
        """

    def dead(self, study: optuna.Study, leases: Path) -> list[FrozenTrial]:
        """The running trials whose worker is dead; ``leases`` has this folder's heartbeats."""


class StudyFolder:
    """``runs/NAME.study``, and the trials in its journal unless a ``database`` holds them."""

    def __init__(self, path: Path, database: "Database | None" = None) -> None:
        self.path = path
        self.heartbeats = path / "leases"
        self.storage: Storage = database or Journal(path)
        self._arguments = path, database

    def __reduce__(self) -> tuple[Any, ...]:
        path, database = self._arguments
        return StudyFolder, (path.resolve(), database)  # a worker's own folder is another

    def finalist(self, number: int) -> Path:
        """The folder of the run of a trial's finalist."""
        return self.path / "finalists" / f"trial-{number}"

    def study(self) -> optuna.Study:
        return self.storage.study()

    def exclusively(self, work: Callable[[], T], patience: float | None = None) -> T:
        """Look at the trials and then begin or end one, while no other worker does.

        ``work`` may be done again, as :meth:`Storage.exclusively` says.
        """
        return self.storage.exclusively(work, patience)

    def reap(self, patience: float | None = None) -> list[FrozenTrial]:
        """Mark the trials of dead workers as failed and queue each once more; returns them."""

        def work() -> tuple[list[FrozenTrial], set[str]]:
            study, workers = self.study(), dead_workers(self.heartbeats)
            dead = self.storage.dead(study, self.heartbeats)
            interrupt(study, dead)
            return dead, workers

        dead, workers = self.exclusively(work, patience)
        forget_workers(self.heartbeats, workers)
        return dead


def begin_trial(study: optuna.Study) -> Trial:
    """Begin the next trial, with its first heartbeat if the storage keeps them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Heartbeat of storage")  # the worker goes on with them
        trial = study.ask()
    if isinstance(study._storage, BaseHeartbeat):
        study._storage.record_heartbeat(trial._trial_id)
    return trial


def heartbeats(trial: Trial) -> Any:
    """Optuna's own heartbeats of a trial, while the ``with`` block runs; none in a journal."""
    return get_heartbeat_thread(trial._trial_id, trial.storage)


def interrupt(study: optuna.Study, trials: Iterable[FrozenTrial]) -> None:
    """Mark running trials as failed, and queue every interrupted trial once more.

    A repetition that is interrupted is not repeated, unless it was before its worker began. To be
    done exclusively; if it is cut off itself, doing it again completes it.
    """
    for trial in trials:
        study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
    known = study.get_trials(deepcopy=False)
    repeated = {t.user_attrs.get(RETRY) for t in known}
    for trial in known:
        once = RETRY not in trial.user_attrs or trial.user_attrs.get(WORKER) is None
        if trial.state == TrialState.FAIL and once and trial.number not in repeated:
            # If it was cut off while its settings were drawn, all are drawn anew, as they were.
            drawn = trial.params if SETTLED in trial.user_attrs else {}
            params = {**trial.system_attrs.get("fixed_params", {}), **drawn}
            study.enqueue_trial(params, user_attrs={RETRY: trial.number})


def drawn_before(trials: Sequence[FrozenTrial]) -> int:
    """How many settings were drawn before those of the trial that begins next.

    A repetition is drawn when the trial was that it repeats: so a study that was interrupted goes
    on as it would have gone on.
    """
    begun = len(trials)
    waiting = next((t for t in trials if t.state == TrialState.WAITING), None)
    if waiting is not None:
        begun = waiting.number
        while RETRY in trials[begun].user_attrs:
            begun = trials[begun].user_attrs[RETRY]
    return sum(RETRY not in t.user_attrs for t in trials[:begun])


def sampler(seed: int) -> TPESampler:
    """Multivariate TPE, with a separate model for each group of keys that are asked together."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # group
        return TPESampler(seed=seed, multivariate=True, group=True)


def open_study(
    path: Path,
    settings: Mapping[str, Any],
    first: Mapping[str, Any],
    force: bool,
    database: "Database | None" = None,
) -> StudyFolder:
    """The study folder of these settings, created if it does not exist.

    With a ``database`` the study is created there, or joined. ``first`` are the parameters of its
    first trial. With ``force`` an existing study is replaced, in the database too. Raises RunError
    if a study of other settings exists, or something else, or with ``force`` one that is at work.
    """
    folder = StudyFolder(path, database)
    own = settings if database is None else {**settings, STORAGE: database.address.place}
    exists = occupied(path, force)
    if exists and not force:
        require_same(path, own)
    # A command that trains the finalists holds this lock, and keeps no heartbeat.
    with locked(path) if force else nullcontext():
        if database is not None:
            folder.exclusively(partial(_join, folder, database, settings, first, force))
        if exists and not force:
            return folder
        try:
            with made_folder(path, force) as part:
                _fill(part, own, first)
        except OSError as e:
            if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            # Another command created it meanwhile: this one joins in.
            require_same(path, own)
    return folder


def _fill(part: Path, settings: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    (part / "leases").mkdir()
    write_json(part / SETTINGS, settings)
    if STORAGE not in settings:
        _begin(settings, first, Journal(part).create())


def _begin(settings: Mapping[str, Any], first: Mapping[str, Any], study: optuna.Study) -> None:
    study.set_user_attr("recipe", settings["recipe"]["name"])
    study.set_user_attr("objective", "mean fold AUC less its standard error")
    study.enqueue_trial(dict(first), user_attrs={UNCHANGED: True})


def _join(
    folder: StudyFolder,
    database: "Database",
    settings: Mapping[str, Any],
    first: Mapping[str, Any],
    force: bool,
) -> None:
    """Make sure that the database holds the study of these settings."""
    stored, place = database.settings(), database.address.place
    if stored is not None and not force:
        require_same_there(folder.path, place, stored, settings)
        return
    if stored is not None:
        study = folder.study()
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if len(running) > len(database.dead(study, folder.heartbeats)):
            raise RunError(
                f"study '{folder.path.name}' is at work in {place}; stop it before --force (after "
                f"a crash, wait {SILENT_SECONDS / 60:.0f} minutes)"
            )
    database.create(settings, partial(_begin, settings, first))
