"""A pool of workers on the nodes of a Ray cluster, each of them a Ray actor.

The connection to the cluster lives in a process of its own, the driver: Ray ends the process that
is connected when the cluster's head dies, and writes to its output what it likes. Here that is one
line, and the command's own process goes on to say what to do. With the driver end its workers.
"""

import os
import queue
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from mmctr_kit.cv.executors.base import Resources
from mmctr_kit.cv.executors.ray_cluster import connect
from mmctr_kit.cv.executors.settings import Ray
from mmctr_kit.cv.executors.shipping import DataFiles
from mmctr_kit.errors import MmctrKitError, RunError, plural
from mmctr_kit.processes import WorkerExit, WorkerFault, WorkerPool, fault_of, raise_fault

_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 30.0
"""After so long without a free place for any worker, that is said."""


@dataclass(frozen=True)
class NeedsData:
    """The machine ``host`` does not have the files of the data; its worker waits for them."""

    host: str


@dataclass(frozen=True)
class Note:
    """A line for the user."""

    text: str


@dataclass(frozen=True)
class _Start:
    number: int
    work: Callable[..., None]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class _Send:
    number: int
    message: Any


class RayPool:
    """Workers of ``resources`` on the cluster; see :class:`~mmctr_kit.processes.WorkerPool`.

    A worker that asks for the data, by sending :class:`NeedsData`, is answered with ``files``.
    """

    def __init__(self, settings: Ray, resources: Resources, files: DataFiles) -> None:
        self.settings, self.resources, self.files = settings, resources, files
        self._pool = WorkerPool()
        self._alive: set[int] = set()
        self._lost = False

    def __enter__(self) -> Self:
        self._pool.__enter__()
        handle, name = tempfile.mkstemp(prefix="mmctr-kit-ray-", suffix=".log")
        os.close(handle)
        self.log = Path(name)
        gpus = self.settings.gpus if self.resources.device != "cpu" else 0.0
        need = {"num_cpus": self.resources.threads, "num_gpus": gpus}
        self._pool.start(0, _drive, self.settings.address, need, self.files, self.log)
        return self

    def __exit__(self, *details: object) -> None:
        self._pool.__exit__(*details)
        if not self._lost:
            self.log.unlink(missing_ok=True)

    def start(self, number: int, work: Callable[..., None], *arguments: Any) -> None:
        self._alive.add(number)
        self._pool.send(0, _Start(number, work, arguments))

    def send(self, number: int, message: object) -> None:
        self._pool.send(0, _Send(number, message))

    def events(self) -> Iterator[tuple[int, Any]]:
        """The workers' numbers and what they send, until none is left; RunError if Ray is lost."""
        events = self._pool.events()
        while self._alive:
            _, event = next(events)
            if isinstance(event, WorkerExit):
                self._lost = True
                raise RunError(
                    f"the Ray cluster at '{self.settings.address}' was lost ({event.cause}; its "
                    f"last words: {self.log}); when it is there again, the same command goes on "
                    "where it stopped"
                )
            raise_fault(event)
            if isinstance(event, Note):
                warnings.warn(event.text, stacklevel=2)
                continue
            number, what = event
            if isinstance(what, WorkerExit):
                self._alive.discard(number)
            raise_fault(what)
            yield number, what


class Inbox:
    """A worker's end of the pipe: what it sends becomes an event of its actor."""

    def __init__(self) -> None:
        self.received: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.sent: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def send(self, message: Any, /) -> None:
        self.sent.put(message)

    def recv(self) -> Any:
        return self.received.get()


_END = "end of the worker"


class Actor:
    """What runs on a node: one worker, its messages in and its events out."""

    def __init__(self) -> None:
        self._pipe = Inbox()

    def put(self, message: Any) -> None:
        """Hand a message to the worker; a list holds references, whose values are fetched."""
        if isinstance(message, list):
            import ray

            try:
                (message,) = ray.get(message)
            except Exception as e:
                why = str(e).strip().partition("\n")[0]
                host = socket.gethostname()
                self._pipe.send(RunError(f"node {host}: the data did not arrive ({why})"))
                return
        self._pipe.received.put(message)

    def run(self, work: Callable[..., None], arguments: tuple[Any, ...]) -> Iterator[Any]:
        """The worker's events as it sends them, its fault last if it has one."""
        thread = threading.Thread(target=self._work, args=(work, arguments), daemon=True)
        thread.start()
        while (event := self._pipe.sent.get()) != _END:
            yield event

    def _work(self, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        try:
            if (fault := fault_of(work, *arguments, self._pipe)) is not None:
                self._pipe.send(_located(fault))
        finally:
            self._pipe.send(_END)


def _located(fault: MmctrKitError | WorkerFault) -> MmctrKitError | WorkerFault:
    """The fault, with the machine that it came from."""
    host = socket.gethostname()
    if isinstance(fault, WorkerFault):
        return WorkerFault(f"on node {host}:\n{fault.traceback}")
    return type(fault)(f"node {host}: {fault}")


def _drive(
    address: str, need: dict[str, float], files: DataFiles, log: Path, pipe: Connection
) -> None:
    """The driver's life: it does what comes through the pipe, and sends what workers send."""
    with log.open("a") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    _Driver(connect(address), need, files, pipe).serve()


class _Driver:
    """Actors by their number, and the streams of their events."""

    def __init__(self, ray: Any, need: dict[str, float], files: DataFiles, pipe: Connection):
        self.ray, self.need, self.files, self.pipe = ray, need, files, pipe
        options = {**need, "max_restarts": 0, "max_concurrency": 2, "scheduling_strategy": "SPREAD"}
        self.actor_class = ray.remote(**options)(Actor)
        self.actors: dict[int, Any] = {}
        self.streams: dict[Any, int] = {}
        self.heard: set[int] = set()
        self.data: Any = None
        self.lock = threading.Lock()

    def serve(self) -> None:
        """Pass events on until the command's process is gone, which ends this one."""
        threading.Thread(target=self._obey_or_say, daemon=True).start()
        quiet_since, waited = time.monotonic(), False
        while True:
            with self.lock:
                streams = dict(self.streams)
            if not streams:
                time.sleep(_POLL_SECONDS / 10)
                continue
            ready, _ = self.ray.wait(
                list(streams), num_returns=1, timeout=_POLL_SECONDS, fetch_local=False
            )
            for stream in ready:
                self._hear(stream, streams[stream])
                quiet_since = time.monotonic()
            long = time.monotonic() - quiet_since > _PATIENCE_SECONDS
            if long and not self.heard and not waited:
                waited = True
                self._require_room()
                what = ", ".join(f"{count:g} {kind[4:]}" for kind, count in self.need.items())
                self.pipe.send(Note(f"waiting for a free place on the Ray cluster ({what})"))

    def _obey_or_say(self) -> None:
        if (fault := fault_of(self._obey)) is not None:
            self.pipe.send(fault)

    def _obey(self) -> None:
        while True:
            try:
                command = self.pipe.recv()
            except EOFError:
                os._exit(0)
            if isinstance(command, _Send):
                actor = self.actors.get(command.number)
                if actor is not None:
                    actor.put.remote(command.message)
                continue
            actor = self.actor_class.remote()
            stream = actor.run.options(num_returns="streaming").remote(
                command.work, command.arguments
            )
            with self.lock:
                self.actors[command.number] = actor
                self.streams[stream] = command.number

    def _hear(self, stream: Any, number: int) -> None:
        try:
            event = self.ray.get(next(stream))
        except StopIteration:
            self._end(stream, number, "")
        except self.ray.exceptions.RayError as e:
            self._end(stream, number, _cause(e))
        else:
            self.heard.add(number)
            if isinstance(event, NeedsData):
                self._place(number, event)
            else:
                self.pipe.send((number, event))

    def _end(self, stream: Any, number: int, cause: str) -> None:
        with self.lock:
            actor = self.actors.pop(number)
            del self.streams[stream]
        self.ray.kill(actor)
        if cause:
            self._require_room()
        self.pipe.send((number, WorkerExit(cause)))

    def _place(self, number: int, asked: NeedsData) -> None:
        """Send the data; a node gets them once, into its object store and then its cache."""
        if self.data is None:
            contents = self.files.read()
            self.data = self.ray.put(contents)
            size = sum(map(len, contents.values()))
            self.pipe.send(
                Note(f"node {asked.host} does not see the data; {size / 2**20:.1f} MiB go there")
            )
        self.actors[number].put.remote([self.data])

    def _require_room(self) -> None:
        """Raise RunError if no node that is left could ever hold a worker."""
        cpus, gpus = self.need["num_cpus"], self.need["num_gpus"]
        alive = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        if not any(has.get("CPU", 0) >= cpus and has.get("GPU", 0) >= gpus for has in alive):
            raise RunError(
                f"no node of the Ray cluster has {plural(int(cpus), 'core')} and {gpus:g} GPU any "
                f"more ({plural(len(alive), 'node')} left); the same command goes on where it "
                "stopped"
            )


def _cause(error: Exception) -> str:
    """Why an actor ended: the last line of what Ray says that names a node or a kill."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = [line for line in lines if "node" in line.lower() or "killed" in line.lower()]
    return (reason or lines or [type(error).__name__])[-1].partition(". ")[0][:200]
