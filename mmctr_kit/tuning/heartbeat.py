"""Heartbeats: which workers of a study are alive.

A worker keeps one small file with its host, its process id and the time at which that process
began (ids are used again), and refreshes it. On the same host the process table tells whether the
worker is alive; on another host, and on Windows, whether the file was refreshed lately.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mmctr_kit.errors import RunError
from mmctr_kit.files import read_json, write_json

WORKER = "worker"
"""The user attribute of a trial that names its worker."""
REFRESH_SECONDS = 10.0
SILENT_SECONDS = 120.0
"""After this long without a refresh, a worker on another host is taken for dead."""


@contextmanager
def heartbeat(folder: Path) -> Iterator[str]:
    """Keep a heartbeat file in ``folder`` while the block runs; yields the worker's name.

    A worker that does not see the folder keeps none: its trials are in a database, which has
    heartbeats of its own.
    """
    host, pid = socket.gethostname(), os.getpid()
    name = f"{host}-{pid}-{uuid.uuid4().hex[:8]}"
    if not folder.is_dir():
        yield name
        return
    path = folder / f"{name}.json"
    started = _started(pid) if os.name == "posix" else None
    content = {"host": host, "pid": pid, "started": started}
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


def alive_workers(folder: Path) -> set[str]:
    """The names of the workers that are alive; the files of the others are deleted."""
    names = {path.stem: _is_alive(path) for path in folder.glob("[!.]*.json")}
    forget_workers(folder, (name for name, alive in names.items() if not alive))
    return {name for name, alive in names.items() if alive}


def dead_workers(folder: Path) -> set[str]:
    """The names of the workers that are not alive although their files are in the folder."""
    return {path.stem for path in folder.glob("[!.]*.json") if not _is_alive(path)}


def forget_workers(folder: Path, names: Iterable[str]) -> None:
    """Delete the files of workers."""
    for name in names:
        (folder / f"{name}.json").unlink(missing_ok=True)


def _is_alive(path: Path) -> bool:
    try:
        content = read_json(path)
    except RunError:
        return False  # deleted since the folder was listed
    if content["host"] == socket.gethostname() and os.name == "posix":
        began = _started(int(content["pid"]))
        return began is not None and bool(began == content["started"])
    return time.time() - float(content["refreshed"]) < SILENT_SECONDS


def _started(pid: int) -> str | None:
    """When a process began, in the system's own unit; None if there is no such process.

    On a system without /proc it is "alive". Never asked on Windows, whose os.kill sends Ctrl-C.
    """
    if not Path("/proc/self").exists():
        try:
            os.kill(pid, 0)
        except OSError:
            return None
        return "alive"
    try:
        # After the name, which may hold spaces and brackets: state is field 3, starttime field 22.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
