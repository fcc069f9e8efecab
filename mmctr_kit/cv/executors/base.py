"""What every executor offers, and what its workers are set up with."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mmctr_kit.cv.fold import FitContext, Job, Listener
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.errors import DataError, UsageError
from mmctr_kit.recipe import Recipe


@dataclass(frozen=True)
class Resources:
    """The workers that fit models, of ``threads`` threads each, spread over ``devices``.

    ``hardware`` is the devices' name for people and manifests.
    """

    devices: tuple[str, ...]
    workers: int
    threads: int
    hardware: str

    @property
    def device(self) -> str:
        """The device of a process that works alone."""
        return self.worker_device(0)

    def worker_device(self, worker: int) -> str:
        """The device of a worker, by its number."""
        return self.devices[worker % len(self.devices)]

    def worker(self, number: int, recipe: Recipe, data: ChallengeData) -> "WorkerConfig":
        """The configuration of a worker, by its number."""
        device = self.worker_device(number)
        return WorkerConfig(recipe, data.folder, data.rows_fingerprint, device, self.threads)


class Pipe(Protocol):
    """A worker's end of the pipe to the command."""

    def send(self, message: Any, /) -> None: ...

    def recv(self) -> Any: ...


@dataclass(frozen=True)
class WorkerConfig:
    """What a worker process is set up with: it loads the data itself, from ``folder``."""

    recipe: Recipe
    folder: Path
    rows_fingerprint: str
    device: str
    threads: int

    def load(self, pipe: Pipe | None = None) -> tuple[Recipe, ChallengeData]:
        """Prepare the device and load the data; returns the recipe with its own files, and these.

        Through ``pipe`` a worker of another machine may ask for the data. Raises DataError if the
        rows have changed.
        """
        del pipe
        from mmctr_kit.training.device import prepare

        prepare(self.device, self.threads)
        data = load(self.folder)
        self.require(data.rows_fingerprint == self.rows_fingerprint)
        return self.recipe, data

    def require(self, unchanged: bool) -> None:
        """Raise DataError unless the data are as the command's own process loaded them."""
        if not unchanged:
            raise DataError(
                f"the data in {self.folder} changed while the command began; run it again"
            )


class Pool(Protocol):
    """Workers by number, each with a pipe to the command; they end with the ``with`` block.

    :class:`mmctr_kit.processes.WorkerPool` is the one of worker processes, and says more.
    """

    def start(self, number: int, work: Callable[..., None], *arguments: Any) -> None:
        """Have a new worker call ``work(*arguments, pipe)``; everything must be picklable."""
        ...

    def events(self) -> Iterator[tuple[int, Any]]:
        """The workers' numbers and what they send, until no worker is left.

        A worker's last event is a :class:`~mmctr_kit.processes.WorkerExit`.
        """
        ...


def require_wish(device: str, executor: str) -> None:
    """Raise UsageError unless a device is named as it must be where others choose the GPU."""
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"device {device}: with --executor {executor} a GPU is called cuda; it chooses which"
        )


class Executor(Protocol):
    """Where fold models and trials are computed: ``name`` says so, as ``--executor`` takes it."""

    @property
    def name(self) -> str: ...

    def require(self) -> None:
        """Raise UsageError or RunError, soon, if what is asked for is certainly not there."""
        ...

    def resources(self, models: int | None, uses_gpu: bool) -> Resources:
        """The workers for so many models at most, or (None) for as many trials as may come."""
        ...

    def config(
        self, resources: Resources, number: int, recipe: Recipe, data: ChallengeData
    ) -> WorkerConfig:
        """What the worker of that number is set up with."""
        ...

    def pool(
        self, resources: Resources, recipe: Recipe, data: ChallengeData, folder: Path
    ) -> AbstractContextManager[Pool]:
        """A pool of workers for the recipe on the data, for what is kept in ``folder``."""
        ...

    def preview(self, resources: Resources, recipe: Recipe, jobs: int, folder: Path) -> str:
        """What will be asked of others for so many jobs, for people; empty if nothing will."""
        ...

    def fit_folds(
        self, context: FitContext, resources: Resources, jobs: Sequence[Job], listen: Listener
    ) -> None:
        """Fit the jobs' fold models into their folders, which are finished afterwards."""
        ...
