"""A study's folder: what it is a study of, Optuna's journal, and the leases of its workers.

settings.json   the recipe, the search, the data's fingerprint and the package's version; another
                one is refused
study.journal   Optuna's journal: every trial, for ``optuna-dashboard study.journal`` too
leases/         one file a worker
finalists/      ordinary runs
study.json      all of it, for the report; best.yaml, the recipe that was chosen
"""

import errno
import fcntl
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState

from mmctr_kit.files import locked, made_folder, read_json, write_json
from mmctr_kit.tune.conflict import SETTINGS, occupied, require_same
from mmctr_kit.tune.heartbeat import living
from mmctr_kit.tune.journal import journal_storage

NAME = "study"
"""The study's name in its journal, which holds no other."""

WORKER, REFUSED, RETRY = "worker", "refused", "retry of"
"""User attributes of a trial: who runs it, why it made no recipe, whose place it takes."""


class StudyFolder:
    """``runs/NAME.study``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.leases = path / "leases"
        self.journal = path / "study.journal"

    @property
    def settings(self) -> dict[str, Any]:
        return read_json(self.path / SETTINGS)

    def finalist(self, number: int) -> Path:
        """Where the run of a trial's finalist lies."""
        return self.path / "finalists" / f"trial-{number}"

    def study(self, seed: int = 0) -> optuna.Study:
        """The study, with a sampler of this seed."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage = journal_storage(self.journal)
        return optuna.load_study(study_name=NAME, storage=storage, sampler=sampler(seed))

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Alone among all workers, to look at the trials and then begin or end one."""
        with (self.path / ".claim").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def reap(self) -> list[FrozenTrial]:
        """Mark the trials of dead workers as failed, and have each tried once more.

        Returns those trials.
        """
        with self.claiming():
            alive = living(self.leases)
            study = self.study()
            dead = [
                t
                for t in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
                # Without a worker: killed between the trial's beginning and its name.
                if WORKER not in t.user_attrs or t.user_attrs[WORKER] not in alive
            ]
            for trial in dead:
                give_up(study, trial)
        return dead


def give_up(study: optuna.Study, trial: FrozenTrial) -> None:
    """A trial whose worker can't end it: failed, and put in line again unless it was before."""
    study.tell(trial.number, state=TrialState.FAIL)
    if RETRY not in trial.user_attrs:
        study.enqueue_trial(trial.params, user_attrs={RETRY: trial.number})


def sampler(seed: int) -> TPESampler:
    """Multivariate TPE, apart for the groups of keys that are asked together."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # group
        return TPESampler(seed=seed, multivariate=True, group=True)


def open_study(
    path: Path, settings: Mapping[str, Any], first: Mapping[str, Any], force: bool
) -> StudyFolder:
    """The study folder of these settings, made where there is none; ``first`` are the parameters
    of its first trial. With ``force`` what is there is replaced.

    Raises RunError where a study of something else is there, or one that is at work.
    """
    folder = StudyFolder(path)
    if occupied(path, force) and not force:
        require_same(path, settings)
        return folder
    # Training its finalists holds the lock, and no lease.
    with locked(path) if force else nullcontext():
        _make(folder, settings, first, force)
    return folder


def _make(
    folder: StudyFolder, settings: Mapping[str, Any], first: Mapping[str, Any], replace: bool
) -> None:
    try:
        with made_folder(folder.path, replace) as part:
            _fill(StudyFolder(part), settings, first)
    except OSError as e:
        if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        # Another command made it meanwhile: this one joins in.
        require_same(folder.path, settings)


def _fill(folder: StudyFolder, settings: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    folder.leases.mkdir()
    write_json(folder.path / SETTINGS, settings)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = journal_storage(folder.journal)
    study = optuna.create_study(study_name=NAME, storage=storage, direction="maximize")
    study.set_user_attr("recipe", settings["recipe"]["name"])
    study.set_user_attr("objective", "mean fold AUC less its error")
    study.enqueue_trial(dict(first), user_attrs={"recipe's own values": True})
