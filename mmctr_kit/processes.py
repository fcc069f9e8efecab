"""Worker processes: start them, hear what they send, and end them with the command."""

import ctypes
import multiprocessing
import os
import pickle
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Self, TypeVar

from mmctr_kit.activity import Activity, heard_by, pass_on
from mmctr_kit.errors import MmctrKitError, RunError, refusal, warn_in_one_line

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")

KILLED = "a worker process was killed, perhaps because memory ran out"


def measuring_killed(name: str) -> str:
    """The message that the process which measured ``name`` was killed."""
    return (
        f"the process that measured '{name}' was killed, perhaps because memory ran out; run the "
        "same command again"
    )


@dataclass(frozen=True)
class WorkerExit:
    """The last event of a worker. ``cause`` says what ended it before its work was done, or ""."""

    cause: str = ""


@dataclass(frozen=True)
class WorkerFault:
    """A worker's exception that is no MmctrKitError: a bug, with its traceback as text."""

    traceback: str


class WorkerPool:
    """Spawned worker processes, by number; they are terminated when the ``with`` block ends.

    Each has a pipe to itself: a queue that several processes write to hangs if one is killed while
    it holds the queue's lock.
    """

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._running: dict[int, tuple[BaseProcess, Connection]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process, _pipe in self._running.values():
            process.terminate()
        for process, pipe in self._running.values():
            process.join()
            pipe.close()

    def start(self, number: int, work: Callable[..., None], *arguments: Any) -> None:
        """Have a new process call ``work(*arguments, pipe)``; everything must be picklable."""
        ours, theirs = self._context.Pipe()
        # As bytes: an exception that the parent cannot load is then reported like any other.
        packed = bytes(ForkingPickler.dumps((work, arguments)))
        process = self._context.Process(target=_run, args=(packed, theirs), daemon=True)
        with _interrupts_blocked(), _main_hidden():
            process.start()
        theirs.close()  # so that the pipe ends with the worker
        self._running[number] = (process, ours)

    def send(self, number: int, message: object) -> None:
        """Send a message to a worker. If it is dead, its WorkerExit is the next event."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._running[number][1].send(message)

    def events(self) -> Iterator[tuple[int, Any]]:
        """The workers' numbers and what they send, as it arrives, until no worker is left.

        Raises the MmctrKitError that a worker raised, and RuntimeError for a bug in one.
        """
        while self._running:
            numbers = {pipe: number for number, (_, pipe) in self._running.items()}
            for pipe in wait(list(numbers)):
                assert isinstance(pipe, Connection)
                try:
                    event = pipe.recv()
                except (EOFError, OSError):
                    event = self._exit(numbers[pipe])
                raise_fault(event)
                yield numbers[pipe], event

    def _exit(self, number: int) -> WorkerExit:
        process, pipe = self._running.pop(number)
        process.join()
        pipe.close()
        code = process.exitcode or 0
        return WorkerExit(f"signal {-code}" if code < 0 else f"exit code {code}" if code else "")


def raise_fault(event: object) -> None:
    """Raise the error that a worker has sent in place of an event."""
    if isinstance(event, MmctrKitError):
        raise event
    if isinstance(event, WorkerFault):
        last = event.traceback.strip().rpartition("\n")[2]
        raise RuntimeError(f"a worker process failed: {last}\n{event.traceback}")


def run_isolated(work: Callable[[_Argument], _Result], argument: _Argument, killed: str) -> _Result:
    """``work(argument)`` in a process of its own, so that what it uses and breaks is its own.

    Both, and the result, must be picklable. Raises the MmctrKitError that ``work`` raises, and
    RunError of the message ``killed`` if the process ends without a result.
    """
    with WorkerPool() as pool:
        pool.start(0, _send_result, work, argument)
        for _, result in pool.events():
            if not isinstance(result, Activity):
                break
            pass_on(result)
    if isinstance(result, WorkerExit):
        raise RunError(killed)
    measured: _Result = result
    return measured


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keep new processes from running the user's script again: workers need nothing of it."""
    main = sys.modules["__main__"]
    hidden = {name: getattr(main, name, None) for name in ("__file__", "__spec__")}
    main.__dict__.pop("__file__", None)
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update({k: v for k, v in hidden.items() if v is not None})


def _send_result(work: Callable[[Any], object], argument: object, pipe: Connection) -> None:
    with heard_by(pipe.send):
        result = work(argument)
    pipe.send(result)


def _run(packed: bytes, pipe: Connection) -> None:
    """The whole life of a worker process."""
    if not hasattr(signal, "pthread_sigmask"):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    warn_in_one_line()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if (fault := fault_of(_work, packed, pipe)) is not None:
        pipe.send(fault)


def _work(packed: bytes, pipe: Connection) -> None:
    work, arguments = pickle.loads(packed)
    work(*arguments, pipe)


def fault_of(work: Callable[..., object], *arguments: Any) -> MmctrKitError | WorkerFault | None:
    """Call ``work(*arguments)``; what to send of the exception that it raised, if it did."""
    try:
        work(*arguments)
    except MmctrKitError as e:
        return e
    except (OSError, UnicodeEncodeError) as e:
        return refusal(e) or WorkerFault(traceback.format_exc())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # Rust's panics are no Exception
        return WorkerFault(traceback.format_exc())
    return None


def _end_with_parent() -> None:
    """End this process if its parent is killed: it must not go on writing into a run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal, and the command's process ends its workers.

    A new process inherits the mask, which, unlike a handler, holds from its first instruction on.
    Windows has no masks: there a worker ignores Ctrl-C once it runs.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Now, since Python lets Ctrl-C through again whenever it starts its resource tracker, which it
    # does with the first process.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def peak_process_bytes() -> int:
    """The peak memory of this process since it began."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not ru_maxrss: Linux hands a new process the peak of the one that started it.
        kilobytes = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        assert kilobytes is not None
        return 1024 * int(kilobytes[1])
    if sys.platform == "win32":
        # PROCESS_MEMORY_COUNTERS: two 32-bit fields, the size first, then PeakWorkingSetSize.
        counters = (ctypes.c_uint64 * 9)(72)
        ctypes.windll.kernel32.K32GetProcessMemoryInfo(ctypes.c_void_p(-1), counters, 72)
        return counters[1]
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
