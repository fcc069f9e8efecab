"""A Ray cluster: fold models are fitted by workers on its nodes.

A worker makes its preparations once and then takes one job after another, so that short folds
share them. If it sees the run's folder it writes there; if not, it sends the fold folder after
every epoch, so that a node that dies costs one epoch in either case. It reads the data where the
command does if the same files are there, and otherwise gets them once for its machine.
"""

import secrets
import shutil
import socket
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from mmctr_kit.cv.executors.base import Pipe, Resources, WorkerConfig, require_wish
from mmctr_kit.cv.executors.local import Short, fit_jobs
from mmctr_kit.cv.executors.ray_cluster import Node, no_cluster, survey
from mmctr_kit.cv.executors.ray_pool import NeedsData, RayPool
from mmctr_kit.cv.executors.settings import Ray
from mmctr_kit.cv.executors.shipping import DataFiles, Parcel
from mmctr_kit.cv.fold import FitContext, FoldActivity, Job, Listener, Progress
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.errors import GpuFailureError, MemoryShortageError, RunError, plural
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.processes import WorkerExit, run_isolated
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.writer import RunWriter


@dataclass(frozen=True)
class NodeConfig(WorkerConfig):
    """What a worker on a node is set up with; ``files`` are those of the data."""

    files: DataFiles
    ship: bool

    def load(self, pipe: Pipe | None = None) -> tuple[Recipe, ChallengeData]:
        """Prepare the device; load the data from where they are, or ask for them."""
        from mmctr_kit.training.device import prepare

        prepare(self.device, self.threads)
        if not self.ship and self.files.are_here():
            return self.files.recipe_at(self.recipe, None), load(self.folder)
        folder = self.files.placed
        if not self.files.are_placed():
            assert pipe is not None
            pipe.send(NeedsData(socket.gethostname()))
            folder = self.files.place(pipe.recv())
        return self.files.recipe_at(self.recipe, folder), load(folder)


@dataclass(frozen=True)
class RayExecutor:
    """The nodes of a Ray cluster. Arguments beside ``settings`` as of LocalExecutor.

    ``device`` is a wish: 'auto' is a GPU if a node has one.
    """

    settings: Ray
    device: str = "auto"
    jobs: int | None = None
    threads: int | None = None
    name = "ray"

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes of the cluster; RunError if they lack a GPU that is asked for."""
        require_wish(self.device, self.name)
        ask = partial(survey, gpu=self.device == "cuda")
        return run_isolated(ask, self.settings, no_cluster(self.settings.address, "no answer"))

    def require(self) -> None:
        """Raise RunError if the cluster is not there, or does not fit."""
        self.resources(1, uses_gpu=True)

    def resources(self, models: int | None, uses_gpu: bool) -> Resources:
        nodes, gpus = self.nodes, 0.0
        if uses_gpu and self.device != "cpu" and any(node.gpus for node in nodes):
            gpus = self.settings.gpus
        threads = self.threads or 1
        room = _room(nodes, threads, gpus)
        if not room:
            most = max(node.cpus for node in nodes)
            raise RunError(
                f"no node of the Ray cluster has {plural(threads, 'core')} and {gpus:g} GPU for a "
                f"fold model (the most cores of a node are {most}); ask for fewer --threads, or a "
                "smaller ray.gpus"
            )
        workers = min(filter(None, (self.jobs, models, room)))
        if self.threads is None and models is not None:
            most = max(node.cpus for node in nodes)
            fits = (t for t in range(most, 0, -1) if _room(nodes, t, gpus) >= workers)
            threads = next(fits)
        used = [node for node in nodes if node.slots(threads, gpus)]
        hardware = " or ".join(sorted({node.gpu if gpus else node.cpu for node in used}))
        return Resources(("cuda:0" if gpus else "cpu",), workers, threads, hardware)

    def config(
        self, resources: Resources, number: int, recipe: Recipe, data: ChallengeData
    ) -> NodeConfig:
        found = replace(resources.worker(number, recipe, data), folder=data.folder.resolve())
        files = DataFiles.of(recipe, data)
        return NodeConfig(**vars(found), files=files, ship=self.settings.ship)

    def pool(
        self, resources: Resources, recipe: Recipe, data: ChallengeData, folder: Path
    ) -> RayPool:
        del folder
        return RayPool(self.settings, resources, DataFiles.of(recipe, data))

    def preview(self, resources: Resources, recipe: Recipe, jobs: int, folder: Path) -> str:
        """The nodes, and how many workers each has room for."""
        del recipe, jobs, folder
        gpus = 0.0 if resources.device == "cpu" else self.settings.gpus
        return "\n".join(
            f"node {node.host}: {plural(node.cpus, 'core')}, {node.gpus:g} GPU, room for "
            f"{plural(node.slots(resources.threads, gpus), 'fold model')}"
            for node in self.nodes
        )

    def fit_folds(
        self, context: FitContext, resources: Resources, jobs: Sequence[Job], listen: Listener
    ) -> None:
        """Fit the jobs' fold models on the nodes; a worker that dies is replaced elsewhere."""
        _Fitting(self, context, resources, jobs, listen).run()


def _room(nodes: Sequence[Node], threads: int, gpus: float) -> int:
    return sum(node.slots(threads, gpus) for node in nodes)


@dataclass(frozen=True)
class _Ready:
    """A worker can take jobs. ``shared``: it sees the run's folder and writes there."""

    host: str
    shared: bool


@dataclass(frozen=True)
class _NeedsItems:
    """The item vectors that a worker made differ from the command's in their last digits."""


@dataclass(frozen=True)
class _Shipped:
    """Progress, with the fold folder as it is after it unless that is shared."""

    progress: Progress
    folder: Parcel | None


class _Fitting:
    """The command's side of a run on a cluster: who has which job, and what comes back."""

    def __init__(
        self,
        executor: RayExecutor,
        context: FitContext,
        resources: Resources,
        jobs: Sequence[Job],
        listen: Listener,
    ) -> None:
        self.executor, self.context, self.resources = executor, context, resources
        self.listen, self.waiting, self.left = listen, deque(jobs), len(jobs)
        self.deaths = 0  # since a job was finished
        self.at_work: dict[int, Job | None] = {}
        self.ready: dict[int, _Ready] = {}

    def run(self) -> None:
        """Fit all jobs."""
        context = self.context
        if not self.waiting:
            return
        for left in context.writer.path.glob(".shared-*"):  # of a command that was killed
            left.unlink(missing_ok=True)
        count = min(self.resources.workers, len(self.waiting))
        token = context.writer.path / f".shared-{secrets.token_hex(8)}"
        token.write_text("A worker that finds this file sees the folder.\n")
        recipe, data = context.recipe, context.data
        config = self.executor.config(self.resources, 0, recipe, data)
        work = (config, context.items.fingerprints, token.resolve())
        try:
            with self.executor.pool(self.resources, recipe, data, context.writer.path) as pool:
                for number in range(count):
                    pool.start(number, fit_on_node, *work)
                for number, event in pool.events():
                    if not isinstance(event, WorkerExit):
                        self._hear(pool, number, event)
                    elif event.cause or self.at_work.get(number):
                        self._take_back(number, event)
                        pool.start(number, fit_on_node, *work)
                    if not self.left:
                        return  # a worker that replaces a dead one may never find a place
        finally:
            token.unlink(missing_ok=True)

    def _hear(self, pool: RayPool, number: int, event: Any) -> None:
        match event:
            case _Ready():
                self.ready[number] = event
                self._give(pool, number)
            case FoldActivity():
                self.listen(event)
            case Short(error):
                self._end_worker(number, error)
            case _NeedsItems():
                items = self.context.items
                pool.send(number, {name: getattr(items, name) for name in _ITEM_ARRAYS})
            case _Shipped(progress, folder):
                if folder is not None:
                    job = progress.fold, progress.seed
                    folder.unpack(self.context.writer.fold(*job).path)
                self.listen(progress)
                if progress.epoch is None:
                    self.left, self.deaths = self.left - 1, 0
                    self._give(pool, number)

    def _give(self, pool: RayPool, number: int) -> None:
        """Give the worker its next job, with what an earlier one left of it; or end it."""
        job = self.at_work[number] = self.waiting.popleft() if self.waiting else None
        if job is None:
            pool.send(number, None)
            return
        begun = self.context.writer.fold(*job).path
        send = not self.ready[number].shared and begun.is_dir()
        pool.send(number, (job, Parcel.of(begun) if send else None))

    def _end_worker(self, number: int, error: MemoryShortageError | GpuFailureError) -> None:
        """Take the job back and do not replace the worker; raise the error if it was the last."""
        job, ready = self.at_work.pop(number), self.ready.pop(number)
        left = sum(other is not None for other in self.at_work.values())
        if not left:
            raise error
        warnings.warn(f"node {ready.host}: {error}; going on with {left} workers", stacklevel=2)
        if job is not None:
            self.waiting.append(job)

    def _take_back(self, number: int, event: WorkerExit) -> None:
        """Give a dead worker's job to the next one; RunError if only workers end, and no job."""
        self.deaths += 1
        job, ready = self.at_work.pop(number, None), self.ready.pop(number, None)
        if job is not None:
            self.waiting.append(job)
        host = "a node" if ready is None else f"node {ready.host}"
        if self.deaths > self.executor.settings.retries * self.resources.workers:
            raise RunError(
                f"{self.deaths} workers ended, one after another, and no fold model was finished; "
                f"the last was on {host} ({event.cause}); the same command goes on where it stopped"
            )
        then = "another takes its place" if job is None else "its fold model goes on elsewhere"
        warnings.warn(f"a worker on {host} ended ({event.cause}); {then}", stacklevel=2)


_EVERY = 1.0
"""Seconds between two messages of how far an epoch is: each goes over the network."""

_ITEM_ARRAYS = ("table", "present", "codes", "fingerprints")


def fit_on_node(config: NodeConfig, expected: tuple[str, ...], token: Path, pipe: Pipe) -> None:
    """A worker's life on a node: fit the jobs that come through the pipe, until None comes."""
    began = time.perf_counter()
    recipe, data = config.load(pipe)
    config.require(data.rows_fingerprint == config.rows_fingerprint)
    items = ItemFeatures.derive(recipe, data)
    if items.fingerprints != expected:  # another CPU, or library, rounds otherwise
        pipe.send(_NeedsItems())
        items = replace(items, **pipe.recv())
    shared = not config.ship and token.is_file()
    with ExitStack() as stack:
        path = token.parent
        if not shared:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mmctr-kit-")))
        writer = RunWriter(path)
        pipe.send(_Ready(socket.gethostname(), shared))

        def jobs() -> Iterator[Job]:
            for job, begun in iter(pipe.recv, None):
                if begun is not None:
                    begun.unpack(writer.fold(*job).path)
                yield job

        def listen(progress: Progress | FoldActivity) -> None:
            if isinstance(progress, FoldActivity):
                pipe.send(progress)
                return
            folder = writer.fold(progress.fold, progress.seed).path
            pipe.send(_Shipped(progress, None if shared else Parcel.of(folder)))
            if not shared and progress.epoch is None:
                shutil.rmtree(folder)

        context = FitContext(recipe, data, items, writer)
        try:
            fit_jobs(context, config.device, jobs(), listen, began, _EVERY)
        except (MemoryShortageError, GpuFailureError) as e:
            pipe.send(Short(e))
