"""Leases: which workers of a study are alive. Optuna's journal has no heartbeat of its own.

A worker keeps one small file with its process id, when that process began (ids are used again)
and its host, and refreshes it. On the same host the process table tells whether it lives; of
another host, whether the file was refreshed of late.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmctr_kit.errors import RunError
from mmctr_kit.files import read_json, write_json

REFRESH_SECONDS = 10.0
SILENT_SECONDS = 120.0
"""A worker elsewhere that was silent for so long is taken for dead."""


@contextmanager
def lease(folder: Path) -> Iterator[str]:
    """Hold a lease in ``folder`` while the block runs; yields the worker's name."""
    host, pid = socket.gethostname(), os.getpid()
    name = f"{host}-{pid}-{uuid.uuid4().hex[:8]}"
    path = folder / f"{name}.json"
    content = {"host": host, "pid": pid, "started": _started(pid)}
    over = threading.Event()

    def refresh() -> None:
        while not over.wait(REFRESH_SECONDS):
            write_json(path, {**content, "refreshed": time.time()})

    write_json(path, {**content, "refreshed": time.time()})
    thread = threading.Thread(target=refresh, daemon=True)
    thread.start()
    try:
        yield name
    finally:
        over.set()
        thread.join()
        path.unlink(missing_ok=True)


def living(folder: Path) -> set[str]:
    """The names of the workers that are alive; the leases of the others are deleted."""
    found = set()
    for path in folder.glob("[!.]*.json"):
        if _lives(path):
            found.add(path.stem)
        else:
            path.unlink(missing_ok=True)
    return found


def _lives(path: Path) -> bool:
    try:
        content = read_json(path)
    except RunError:
        return False  # given up since the folder was listed
    if content["host"] == socket.gethostname():
        began = _started(int(content["pid"]))
        return began is not None and bool(began == content["started"])
    return time.time() - float(content["refreshed"]) < SILENT_SECONDS


def _started(pid: int) -> str | None:
    """When a process began, in the system's own measure; None where there is no such process."""
    try:
        # After the name, which may hold spaces and brackets: state is field 3, starttime field 22.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return _alive_without_proc(pid)
    return None if fields[0] == "Z" else fields[19]


def _alive_without_proc(pid: int) -> str | None:
    """The same where there is no /proc: alive or not is all there is to know."""
    if Path("/proc/self").exists():
        return None
    try:
        os.kill(pid, 0)
    except OSError:
        return None
    return "alive"
