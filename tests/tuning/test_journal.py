"""The journal of trials outlives the workers that are killed while they write it."""

import multiprocessing
import os
import signal
from pathlib import Path

import optuna
import pytest

from mmctr_kit.tuning.journal import JournalLock, journal_storage


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A relative path, as --runs has by default."""
    monkeypatch.chdir(tmp_path)
    path = Path("study.journal")
    optuna.create_study(study_name="study", storage=journal_storage(path))
    return path


def hold(path: Path) -> None:
    JournalLock(path).acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def trials(path: Path) -> int:
    study = optuna.load_study(study_name="study", storage=journal_storage(path))
    study.ask()
    return len(study.trials)


def test_the_lock_of_a_killed_writer_is_free(journal: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(journal,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert trials(journal) == 1


def test_a_lock_file_of_optunas_own_stops_nobody(journal: Path) -> None:
    Path("study.journal.lock").symlink_to(journal)
    assert trials(journal) == 1


@pytest.mark.parametrize("rest", ['{"op_code": 4, "wor', '{"op_code"'])
def test_half_a_line_of_a_killed_writer_is_cut_off(journal: Path, rest: str) -> None:
    whole = journal.read_bytes()
    with journal.open("a") as handle:
        handle.write(rest)
    lock = JournalLock(journal)
    lock.acquire()
    lock.release()
    assert journal.read_bytes() == whole
    assert trials(journal) == 1
    assert trials(journal) == 2
