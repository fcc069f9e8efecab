"""mmctr_kit.processes: workers are heard, end with their command, and die in one line."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from mmctr_kit.errors import DataError, MmctrKitError, RunError
from mmctr_kit.processes import (
    WorkerExit,
    WorkerPool,
    measuring_killed,
    peak_process_bytes,
    run_isolated,
)


def double(pipe: Connection) -> None:
    while (number := pipe.recv()) is not None:
        pipe.send(2 * number)


def end_as(how: str, pipe: Connection) -> None:
    pipe.send(os.getpid())
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "interrupted":
        os.kill(os.getpid(), signal.SIGINT)
    if how == "aborted":
        os._exit(1)
    if how == "wrong data":
        raise DataError("the rows changed")
    if how == "full disk":
        raise OSError(28, "No space left on device", "weights")
    if how == "bug":
        raise ValueError("boom")


def wait(seconds: float, pipe: Connection) -> None:
    pipe.send(os.getpid())
    time.sleep(seconds)


def events(how: str) -> list[object]:
    with WorkerPool() as pool:
        pool.start(3, end_as, how)
        return [(number, type(event), event) for number, event in pool.events()][1:]


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_workers_answer_by_number_until_they_are_sent_the_end() -> None:
    answers: dict[int, list[int]] = {0: [], 1: []}
    with WorkerPool() as pool:
        for number in answers:
            pool.start(number, double)
            pool.send(number, number + 5)
        for number, event in pool.events():
            if not isinstance(event, WorkerExit):
                answers[number].append(event)
                pool.send(number, event if len(answers[number]) < 3 else None)
    assert answers == {0: [10, 20, 40], 1: [12, 24, 48]}


@pytest.mark.parametrize(
    ("how", "cause"),
    [("killed", "signal 9"), ("aborted", "exit code 1"), ("interrupted", ""), ("well", "")],
)
def test_a_worker_s_end_is_its_last_event_and_ctrl_c_is_none_of_its(how: str, cause: str) -> None:
    assert events(how) == [(3, WorkerExit, WorkerExit(cause))]


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("wrong data", DataError, "the rows changed"),
        ("full disk", MmctrKitError, "'weights' cannot be written .*make room"),
        ("bug", RuntimeError, "ValueError: boom"),
    ],
)
def test_what_a_worker_raises_is_raised_here(
    how: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        events(how)


def test_workers_end_with_the_block() -> None:
    with WorkerPool() as pool:
        for number in range(2):
            pool.start(number, wait, 60.0)
        events = pool.events()
        pids = [next(events)[1] for _ in range(2)]
        assert all(map(is_running, pids))
    assert not any(map(is_running, pids))


PARENT = """
import os, signal
from mmctr_kit.processes import WorkerPool
from tests.test_processes import wait

if __name__ == "__main__":
    with WorkerPool() as pool:
        pool.start(0, wait, 60.0)
        print(next(pool.events())[1], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def tell_its_mask(pipe: Connection) -> None:
    pipe.send(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))


MASKED = """
from mmctr_kit.processes import WorkerPool
from tests.test_processes import tell_its_mask

if __name__ == "__main__":
    with WorkerPool() as pool:
        for number in range(2):
            pool.start(number, tell_its_mask)
        print(*(event for _, event in pool.events() if isinstance(event, bool)))
"""


def test_no_worker_hears_ctrl_c_not_even_the_first_of_a_process(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(MASKED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.split() == ["True", "True"]


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    done = subprocess.run(
        [sys.executable, str(script)], stdout=subprocess.PIPE, env=environment, check=False
    )
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    for _ in range(100):
        if not is_running(pid):
            break
        time.sleep(0.1)
    assert not is_running(pid)


def test_isolated_work_returns_its_result_or_says_that_it_was_killed() -> None:
    assert run_isolated(abs, -3, "killed") == 3
    with pytest.raises(RunError, match="process that measured 'x' was killed"):
        run_isolated(signal.raise_signal, signal.SIGKILL, measuring_killed("x"))


def test_the_peak_memory_is_of_this_process_and_does_not_fall() -> None:
    before = peak_process_bytes()
    held = b"x" * (before + 2**26)
    assert peak_process_bytes() > before + 2**25
    del held
    assert peak_process_bytes() > before + 2**25


class Broken:
    """What cannot be loaded in the worker, as a module that is broken there."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (__import__, ("no_such_module_of_anybody",))


def test_what_cannot_be_loaded_in_a_worker_is_no_want_of_memory() -> None:
    with pytest.raises(RuntimeError, match="a worker process failed: ModuleNotFoundError: No modu"):
        run_isolated(str, Broken(), "it was killed")
