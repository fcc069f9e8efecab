"""Trials in a database, by Optuna's RDBStorage: workers on any machine that reaches it can join.

What Optuna leaves open is added here. A *lock* that dies with its holder's connection lets one
worker at a time look at the trials and begin or end one. If the database is lost, for a restart
perhaps, everything waits and goes on. A single operation is then repeated; but the beginning and
the end of a trial, whose commit may or may not have happened, are repeated together with the look
at the trials before them, under a new lock.
"""

import hashlib
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import locked
from mmctr_kit.tuning.address import Address
from mmctr_kit.tuning.heartbeat import REFRESH_SECONDS, SILENT_SECONDS, WORKER, dead_workers

PATIENCE = 300.0
"""For how many seconds a lost database is waited for."""
_PAUSE = 1.0
"""Seconds between two attempts."""
_SETTINGS = "settings"
"""The study's user attribute with its settings. Written last: a study without it is incomplete."""
_ONCE = ("create_new_study", "delete_study", "_create_new_trial", "set_trial_state_values")
"""Operations that a database may have carried out when it was lost, and that change something if
they are carried out again. They are done exclusively."""
_LOST = (OperationalError, InterfaceError)

_PREPARE = {
    # A server gives up a worker whose machine has vanished, and its lock, after a minute.
    "postgresql": (
        "SET LOCAL lock_timeout = '60s'",
        "SET LOCAL tcp_keepalives_idle = 30",
        "SET LOCAL tcp_keepalives_interval = 10",
        "SET LOCAL tcp_keepalives_count = 3",
    ),
    "mysql": (),
}
_TAKE = {
    "postgresql": "SELECT 1 FROM pg_advisory_xact_lock(:key)",
    "mysql": "SELECT GET_LOCK(CONCAT('mmctr-kit ', :key), 60)",
}
"""The lock of a connection, by kind of database: 1 if it was taken."""

T = TypeVar("T")


class DatabaseLostError(Exception):
    """The database does not answer, or the lock was not free in time."""


class Database:
    """The trials of the study ``name`` in the database at ``address``.

    ``listen`` is called with a line when it begins to wait for the database; None warns.
    """

    def __init__(self, address: Address, name: str) -> None:
        self.address, self.name = address, f"mmctr-kit/{name}"
        self._arguments = address, name
        self.listen: Callable[[str], None] | None = None
        self._thread = threading.local()
        self._storage: Any = None
        self._study: optuna.Study | None = None
        self._lost_at = float("-inf")
        self._locks = sqlalchemy.create_engine(
            address.url, poolclass=NullPool, connect_args=address.options
        )
        sqlalchemy.event.listen(self._locks, "handle_error", _raise_if_lost)

    def __reduce__(self) -> tuple[Any, ...]:
        return Database, self._arguments

    def connect(self, dry: bool = False) -> bool:
        """Open the database, without waiting for it. Raises UsageError if it cannot be used.

        ``dry``: write nothing. A database that has held no study yet is then not opened, which
        would create its tables; this returns False.
        """
        try:
            if dry and not self._has_tables():
                return False
            self._open()
        except (DatabaseLostError, SQLAlchemyError, StorageInternalError, RuntimeError) as e:
            why = self.address.without_password(_reason(e))
            raise UsageError(f"--storage {self.address.place} cannot be used: {why}") from e
        return True

    def _has_tables(self) -> bool:
        if self.address.file is not None and not self.address.file.is_file():
            return False  # to connect would create the file
        with self._locks.connect() as connection:
            return bool(sqlalchemy.inspect(connection).has_table("studies"))

    def settings(self) -> dict[str, Any] | None:
        """The settings that the study was created with; None if there is no complete study."""
        study = self._find()
        return None if study is None else study.user_attrs.get(_SETTINGS)

    def create(self, settings: Mapping[str, Any], fill: Callable[[optuna.Study], None]) -> None:
        """Create the study in place of any other of that name, and have ``fill`` complete it.

        To be done exclusively.
        """
        if self._find() is not None:
            optuna.delete_study(study_name=self.name, storage=self._storage)
        study = optuna.create_study(
            study_name=self.name, storage=self._storage, direction="maximize"
        )
        fill(study)
        study.set_user_attr(_SETTINGS, dict(settings))
        self._study = None

    def study(self) -> optuna.Study:
        """The study, which reads its trials anew whenever it is asked for them."""
        if self._study is None:
            self._study = optuna.load_study(study_name=self.name, storage=self._opened())
        return self._study

    def exclusively(self, work: Callable[[], T], patience: float | None = None) -> T:
        """Do ``work`` while no other worker of the study does any, and again if the lock is lost.

        ``work`` must look at the trials itself: an attempt before it may have changed them. Raises
        RunError if the database is lost for more than ``patience`` seconds, by default 300.
        """

        def attempt() -> T:
            if self._storage is None:
                self._open()
            with self._lock(self.name):
                self._thread.exclusive = True
                try:
                    return work()
                finally:
                    self._thread.exclusive = False

        return self._patiently(attempt, PATIENCE if patience is None else patience)

    def dead(self, study: optuna.Study, leases: Path) -> list[FrozenTrial]:
        """The running trials whose worker was silent for long, or was killed on this machine.

        A trial without a worker was begun by one that was killed before it could write its name. To
        be done exclusively.
        """
        killed, silent = {None, *dead_workers(leases)}, set[int]()
        # After an outage, others are given time for a heartbeat.
        if time.monotonic() - self._lost_at > SILENT_SECONDS:
            silent.update(self._opened()._get_stale_trial_ids(study._study_id))
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [t for t in running if t._trial_id in silent or t.user_attrs.get(WORKER) in killed]

    def close(self) -> None:
        """Close the connections. They are opened again when they are needed."""
        if self._storage is not None:
            self._storage._backend.engine.dispose()
        self._storage = self._study = None

    def _find(self) -> optuna.Study | None:
        try:
            return optuna.load_study(study_name=self.name, storage=self._opened())
        except KeyError:
            return None

    def _opened(self) -> Any:
        if self._storage is None:
            self._patiently(self._open, PATIENCE)
        return self._storage

    def _open(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            # Of several commands one creates the tables.
            with warnings.catch_warnings(), self._lock("mmctr-kit"):
                warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats
                storage = _Storage(self.address)
        except (DBAPIError, StorageInternalError) as e:
            if isinstance(e, _LOST) or isinstance(e.__cause__, _LOST):
                raise DatabaseLostError(_reason(e)) from e
            raise
        sqlalchemy.event.listen(storage.engine, "handle_error", _raise_if_lost)
        self._storage = _CachedStorage(cast(RDBStorage, _PatientStorage(storage, self)))

    def wait_for(self, operation: Callable[[], T]) -> T:
        """Call the operation again while the database is lost, unless it is done exclusively."""
        return operation() if self.is_exclusive else self._patiently(operation, PATIENCE)

    @property
    def is_exclusive(self) -> bool:
        """Whether this thread is doing something exclusively."""
        return getattr(self._thread, "exclusive", False)

    def _patiently(self, work: Callable[[], T], patience: float) -> T:
        until = None
        while True:
            try:
                return work()
            except DatabaseLostError as e:
                why = self.address.without_password(str(e))
                why = f"{self.address.place} does not answer ({why})"
                self._lost_at = now = time.monotonic()
                if now >= (until or now + patience):
                    raise RunError(f"{why}; give the same command again when it does") from e
            if until is None:
                until = now + patience
                since = f"since {time.strftime('%H:%M:%S')}, for up to {patience / 60:.0f} minutes"
                (self.listen or warnings.warn)(f"{why}; waiting for it {since}")
            time.sleep(_PAUSE)

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Hold a lock, which also ends with the process or the connection.

        If it has ended before the block does, the end of the block raises DatabaseLostError.
        """
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        if (file := self.address.file) is not None:
            with locked(file.with_name(f"{file.name}-{key}"), wait=True):
                yield
            return
        with self._locks.connect() as connection:
            kind = self._locks.dialect.name
            for line in _PREPARE[kind]:
                connection.execute(sqlalchemy.text(line))
            if connection.scalar(sqlalchemy.text(_TAKE[kind]), {"key": key}) != 1:
                raise DatabaseLostError("another worker has held the study's lock for a minute")
            yield
            connection.execute(sqlalchemy.text("SELECT 1"))  # the lock is the connection's


class _Storage(RDBStorage):
    """An RDBStorage that leaves no connection open if it cannot be made."""

    def __init__(self, address: Address) -> None:
        pool = {"pool_size": 1, "max_overflow": -1, "pool_pre_ping": True}
        try:
            super().__init__(
                address.url,
                {**pool, "connect_args": address.options},
                heartbeat_interval=int(REFRESH_SECONDS),
                grace_period=int(SILENT_SECONDS),
            )
        except BaseException:
            self.engine.dispose()
            raise


class _PatientStorage:
    """An RDBStorage whose operations wait for a lost database, if they can be repeated."""

    def __init__(self, storage: RDBStorage, database: Database) -> None:
        self._storage, self._database = storage, database

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._storage, name)
        if name in _ONCE or not callable(attribute):
            return attribute
        return lambda *args, **named: self._database.wait_for(partial(attribute, *args, **named))

    def record_heartbeat(self, trial_id: int) -> None:
        """Record a heartbeat. One that is lost is followed by others."""
        try:
            self._storage.record_heartbeat(trial_id)
        except DatabaseLostError:
            if self._database.is_exclusive:  # the first one
                raise


def _raise_if_lost(context: ExceptionContext) -> None:
    """Raise DatabaseLostError, which Optuna hands on, unlike errors after which it tries again."""
    if isinstance(context.sqlalchemy_exception, _LOST) and not context.is_pre_ping:
        raise DatabaseLostError(_reason(context.sqlalchemy_exception))


def _reason(error: BaseException) -> str:
    """The first line of what the driver said, without the address and words around it."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    text = str(getattr(cause, "orig", None) or cause)
    refused = re.search(r"(?:port \d+|socket \S+) failed: (.*)", text)
    return refused[1] if refused else text.partition("\n")[0]
