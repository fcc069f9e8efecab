"""Trials in a database: joined, guarded by a lock, and complete whenever its answer was lost.

The database is SQLite's here; ``tests/extras/test_postgres.py`` has a real server.
"""

import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState
from sqlalchemy.event import listen

from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import read_json
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe
from mmctr_kit.tuning import database as module
from mmctr_kit.tuning.address import parse_address
from mmctr_kit.tuning.database import Database, DatabaseLostError
from mmctr_kit.tuning.folder import RETRY, StudyFolder, begin_trial, open_study
from mmctr_kit.tuning.heartbeat import SILENT_SECONDS, WORKER, heartbeat
from mmctr_kit.tuning.space import own_point
from mmctr_kit.tuning.trial import Position, TrialResult
from mmctr_kit.tuning.worker import Budget, Event, Outage, TrialFinished, Worker, counts

SETTINGS: dict[str, Any] = {"recipe": {"name": "small"}, "search": {}, "data": "abc", "version": 1}


def database_in(folder: Path, name: str = "small") -> Database:
    return Database(parse_address(f"sqlite:///{folder}/tuning.db"), name)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(database_in(tmp_path)) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, database: Database) -> StudyFolder:
    return open_study(tmp_path / "here" / "small.study", SETTINGS, {"x": 1}, False, database)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.0)


def states(folder: StudyFolder) -> list[TrialState]:
    return [t.state for t in folder.study().trials]


def begin(folder: StudyFolder, worker: str) -> int:
    trial = begin_trial(folder.study())
    trial.set_user_attr(WORKER, worker)
    return trial.number


# One study, in folders of several machines.


def test_a_folder_elsewhere_joins_the_study(folder: StudyFolder, tmp_path: Path) -> None:
    begin(folder, "a")
    with closing(database_in(tmp_path)) as other:
        joined = open_study(tmp_path / "there" / "small.study", SETTINGS, {"x": 1}, False, other)
        assert states(joined) == [TrialState.RUNNING]
        assert sorted(p.name for p in joined.path.iterdir()) == ["leases", "settings.json"]


def test_a_folder_says_where_its_trials_are_and_takes_no_others(
    folder: StudyFolder, database: Database, tmp_path: Path
) -> None:
    assert read_json(folder.path / "settings.json")["storage"] == database.address.place
    with pytest.raises(RunError, match=r"has its trials in sqlite:.*, not in its journal; give"):
        open_study(folder.path, SETTINGS, {"x": 1}, False)
    journal = open_study(tmp_path / "journal.study", SETTINGS, {"x": 1}, False)
    with pytest.raises(RunError, match=r"has its trials in its journal, not in sqlite:.*; leave"):
        open_study(journal.path, SETTINGS, {"x": 1}, False, database)


@pytest.mark.usefixtures("folder")
def test_another_study_of_that_name_is_refused_and_left_alone(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "there" / "small.study"
    with pytest.raises(RunError) as refused:
        open_study(path, {**SETTINGS, "data": "def"}, {"x": 1}, False, database)
    assert str(refused.value) == (
        f"study 'small' exists in {database.address.place} but differs in data; choose another "
        "--name"
    )
    assert database.settings() == SETTINGS
    assert not path.exists()


def test_force_replaces_the_study_in_the_database_too_unless_it_is_at_work(
    folder: StudyFolder, database: Database
) -> None:
    begin(folder, "elsewhere-1-a")
    changed = {**SETTINGS, "data": "def"}
    with pytest.raises(RunError, match=r"is at work in sqlite:.*; stop it before --force"):
        open_study(folder.path, changed, {"x": 2}, True, database)
    assert database.settings() == SETTINGS
    folder.study().tell(0, 0.5)
    again = open_study(folder.path, changed, {"x": 2}, True, database)
    assert database.settings() == changed
    assert states(again) == [TrialState.WAITING]


def test_half_a_study_of_a_killed_command_is_made_whole(database: Database, tmp_path: Path) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.exclusively(lambda: database.create(SETTINGS, stop))
    assert database.settings() is None
    made = open_study(tmp_path / "small.study", SETTINGS, {"x": 1}, False, database)
    assert states(made) == [TrialState.WAITING]


def test_two_studies_share_a_database(folder: StudyFolder, tmp_path: Path) -> None:
    with closing(database_in(tmp_path, "other")) as other:
        open_study(tmp_path / "other.study", {**SETTINGS, "data": "def"}, {"x": 1}, False, other)
        begin(folder, "a")
        assert [t.state for t in other.study().trials] == [TrialState.WAITING]


# Dead workers.


def test_the_trial_of_a_worker_killed_on_this_machine_is_queued_at_once(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with heartbeat(folder.heartbeats) as name:
        begin(folder, name)
        assert folder.reap() == []
        with monkeypatch.context() as patch:
            patch.setattr("mmctr_kit.tuning.heartbeat._is_alive", lambda _: False)
            assert [t.number for t in folder.reap()] == [0]
    assert states(folder) == [TrialState.FAIL, TrialState.WAITING]
    assert folder.study().trials[1].user_attrs[RETRY] == 0


def test_the_trial_of_a_worker_elsewhere_is_queued_after_a_long_silence(
    folder: StudyFolder, database: Database
) -> None:
    begin(folder, "elsewhere-1-a")
    assert folder.reap() == []
    _age_heartbeats(database)
    assert [t.number for t in folder.reap()] == [0]


@pytest.mark.usefixtures("impatient")
def test_after_an_outage_others_have_time_for_a_heartbeat(
    folder: StudyFolder, database: Database
) -> None:
    begin(folder, "elsewhere-1-a")
    _age_heartbeats(database)
    lost = [DatabaseLostError("gone")]

    def work() -> None:
        if lost:
            raise lost.pop()

    with pytest.warns(UserWarning, match="does not answer"):
        folder.exclusively(work)
    assert folder.reap() == []


def _age_heartbeats(database: Database) -> None:
    import sqlalchemy

    engine = database._storage._backend.engine
    with engine.begin() as connection:
        old = f"datetime('now', '-{SILENT_SECONDS + 5:.0f} seconds')"
        connection.execute(sqlalchemy.text(f"UPDATE trial_heartbeats SET heartbeat = {old}"))


# The lock.


def test_one_worker_at_a_time_does_something_exclusively(tmp_path: Path) -> None:
    inside: list[str] = []
    most = 0

    def work(name: str) -> Callable[[], None]:
        def step() -> None:
            nonlocal most
            inside.append(name)
            most = max(most, len(inside))
            threading.Event().wait(0.01)
            inside.remove(name)

        return step

    def several(name: str) -> None:
        with closing(database_in(tmp_path)) as mine:
            for _ in range(5):
                mine.exclusively(work(name))

    threads = [threading.Thread(target=several, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


HOLDER = """
import os, signal, sys
from mmctr_kit.tuning.address import parse_address
from mmctr_kit.tuning.database import Database
Database(parse_address(sys.argv[1]), "small").exclusively(lambda: os.kill(os.getpid(), 9))
"""


def test_a_killed_worker_s_lock_is_free(database: Database) -> None:
    done = subprocess.run([sys.executable, "-c", HOLDER, database.address.url], check=False)
    assert done.returncode == -signal.SIGKILL
    assert database.exclusively(lambda: 1) == 1


# A database that is lost.


@pytest.mark.usefixtures("impatient")
def test_a_lost_database_is_waited_for_with_one_line_and_not_for_ever(
    folder: StudyFolder, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    database.listen = heard.append
    fail = iter([True, True, True, False])

    def work() -> int:
        if next(fail):
            raise DatabaseLostError("gone away")
        return 7

    assert folder.exclusively(work) == 7
    (line,) = heard
    assert line.startswith(f"{database.address.place} does not answer (gone away); waiting for it")
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with pytest.raises(RunError, match=r"does not answer \(gone away\); give the same command"):
        folder.exclusively(iter_raise)


def iter_raise() -> None:
    raise DatabaseLostError("gone away")


def test_a_database_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "tuning.db").write_text("this is no database, but a text of some length\n" * 100)
    with closing(database_in(tmp_path)) as wrong, pytest.raises(UsageError) as refused:
        wrong.connect()
    assert str(refused.value) == (
        f"--storage sqlite:///{tmp_path}/tuning.db cannot be used: file is not a database"
    )


def test_a_database_goes_to_a_worker_process(database: Database) -> None:
    with closing(pickle.loads(pickle.dumps(database))) as copy:
        assert copy.address == database.address
        assert copy.name == "mmctr-kit/small"


class Faulty:
    """An RDBStorage that loses the connection at some of its operations, done or not done."""

    def __init__(self, storage: Any, faults: dict[int, bool]) -> None:
        self.storage, self.faults, self.calls = storage, faults, 0

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.storage, name)
        if not callable(attribute) or name.startswith("get_heartbeat"):
            return attribute

        def call(*arguments: Any, **named: Any) -> Any:
            return self.maybe(lambda: attribute(*arguments, **named))

        return call

    def maybe(self, operation: Callable[[], Any]) -> Any:
        """The operation's result, unless its turn has come to be lost before or after it."""
        done = self.faults.get(self.calls)
        self.calls += 1
        if done is None:
            return operation()
        if done:
            operation()
        raise DatabaseLostError("injected")

    @contextmanager
    def lock(self, locked: Any, name: str) -> Iterator[None]:
        """A lock that may be lost before it is released."""
        with locked(name):
            yield
            self.maybe(lambda: None)


class Runner:
    """Trials without training: two folds, a value that follows from the settings."""

    def __init__(self, base: Recipe) -> None:
        self.base, self.rows = base, [0, 1]

    def learner(self, point: dict[str, Any]) -> dict[str, Any]:
        return point

    def run(self, point: dict[str, Any], report: Callable[[Position], None]) -> TrialResult:
        auc = 0.6 - float(point["training.learning_rate"])
        for fold in self.rows:
            report(Position(fold, None, 1, auc))
        return TrialResult(Estimate(auc, 0.01, 100), (auc, auc), 0.0)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, small: Recipe) -> Path:
    """A folder with a database and a study that has no trial yet. Read only."""
    path = tmp_path_factory.mktemp("begun")
    assert small.search is not None
    with closing(database_in(path)) as made:
        first = own_point(small.search, small)
        open_study(path / "small.study", SETTINGS, first, False, made)
    return path


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
@settings(
    max_examples=8,
    derandomize=True,
    phases=(Phase.generate,),  # an example takes long
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(faults=st.dictionaries(st.integers(0, 90), st.booleans(), min_size=2, max_size=12))
def test_whatever_answer_is_lost_no_trial_is_lost_or_doubled(
    faults: dict[int, bool], begun: Path, small: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("faulty")
    shutil.copytree(begun, path, dirs_exist_ok=True)
    events: list[Event] = []
    assert small.search is not None
    with closing(database_in(path)) as database, pytest.MonkeyPatch.context() as patch:
        folder = StudyFolder(path / "small.study", database)
        runner: Any = Runner(small)
        worker = Worker(folder, runner, small.search, Budget(3, None), events.append)
        patient = database._storage._backend
        patient.engine.dispose()
        listen(patient.engine, "connect", lambda c, _: c.execute("PRAGMA synchronous = OFF"))
        patient._storage = faulty = Faulty(patient._storage, faults)
        locked = database._lock
        patch.setattr(database, "_lock", lambda name: faulty.lock(locked, name))
        worker.work()
        patient._storage = faulty.storage
        trials = database.study().get_trials()
    results = [t for t in trials if counts(t)]
    assert len(results) == 3
    assert {t.state for t in results} <= {TrialState.COMPLETE, TrialState.PRUNED}
    told = [e.number for e in events if isinstance(e, TrialFinished)]
    assert told == [t.number for t in results]
    first = own_point(small.search, small)
    assert results[0].params == {k: v for k, v in first.items() if k in results[0].params}
    for trial in trials:
        again = [t.number for t in trials if t.user_attrs.get(RETRY) == trial.number]
        assert len(again) == (trial.state == TrialState.FAIL)
    lost = [e for e in events if isinstance(e, Outage)]
    assert bool(lost) <= bool(faults)
