"""Worker processes: starting one, hearing its result, ending it with its parent."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

from mmctr_kit.errors import MmctrKitError, RunError

_Told = TypeVar("_Told")
_Found = TypeVar("_Found")


def in_a_process(work: Callable[[_Told], _Found], told: _Told, name: str) -> _Found:
    """``work(told)`` in a process of its own, so that what it measures is its own.

    Both can be pickled. Raises what it raises, and RunError, which says ``name``, where it dies.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work_and_send, args=(work, told, theirs), daemon=True)
    # A new process keeps what is blocked: Ctrl-C is this one's to answer, by ending that one.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    theirs.close()
    try:
        found: _Found | MmctrKitError = ours.recv()
    except EOFError as e:
        raise RunError(
            f"the process that measured '{name}' died, perhaps for want of memory; "
            "give the same command again"
        ) from e
    finally:
        process.terminate()
        process.join()
        ours.close()
    if isinstance(found, MmctrKitError):
        raise found
    return found


def _work_and_send(work: Callable[[_Told], _Found], told: _Told, to: Connection) -> None:
    try:
        to.send(work(told))
    except MmctrKitError as e:
        to.send(e)


def end_with_parent() -> None:
    """A killed parent must not leave workers behind that write into its run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
