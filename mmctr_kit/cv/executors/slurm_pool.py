"""A pool of workers that are jobs of a SLURM cluster: one array, each worker an element of it.

Jobs and the command share a folder, and nothing else: a worker's events are appended to a file
there. So jobs do not need the command. If it is killed they go on, and the next one with the same
folder takes over those that still wait or run.
"""

import pickle
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mmctr_kit.cv.executors.settings import Slurm
from mmctr_kit.errors import MmctrKitError, RunError, UsageError
from mmctr_kit.files import read_json, write_json
from mmctr_kit.processes import WorkerExit, WorkerFault, fault_of

_POLL_SECONDS = 1.0
_ASK_SECONDS = 60.0
"""How often SLURM is asked for the state of jobs; until then only their results are looked for."""


def require_submitit(settings: Slurm) -> None:
    """Raise UsageError if the extra is not installed, RunError if there is no SLURM here."""
    try:
        import submitit  # noqa: F401
    except ImportError as e:
        raise UsageError("submitit is not installed; pip install 'mmctr-kit[slurm]'") from e
    if settings.cluster == "slurm" and shutil.which("sbatch") is None:
        raise RunError("there is no sbatch here; run the command on a login node of the cluster")


@dataclass(frozen=True)
class FilePipe:
    """A worker's end of the pipe, which only sends: pickled events, one after another."""

    path: Path

    def send(self, message: Any, /) -> None:
        with self.path.open("ab") as handle:
            handle.write(pickle.dumps(message))

    def recv(self) -> Any:
        raise NotImplementedError("a job of SLURM gets all its arguments when it is submitted")


@dataclass(frozen=True)
class Task:
    """What a job does. Told of its end it is queued again: what it wrote is its checkpoint."""

    work: Callable[..., None]
    arguments: tuple[Any, ...]
    events: Path

    def __call__(self) -> MmctrKitError | WorkerFault | None:
        """Work, and return the fault that ended it, if one did."""
        return fault_of(self.work, *self.arguments, FilePipe(self.events))

    def checkpoint(self) -> Any:
        """What submitit is to queue again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmPool:
    """Workers as elements of an array job, of which ``at_once`` run side by side.

    They keep their scripts, logs and events in ``folder``, which the compute nodes must see.
    ``parameters`` are those of ``sbatch``. ``key`` is equal for jobs that do the same: those of an
    earlier command with another key are cancelled.
    """

    def __init__(
        self,
        settings: Slurm,
        name: str,
        key: str,
        folder: Path,
        parameters: dict[str, Any],
        at_once: int,
    ) -> None:
        self.settings, self.name, self.key = settings, name, key
        self.folder = folder.resolve()
        self.parameters, self.at_once = parameters, at_once
        self._new: dict[int, Task] = {}
        self._jobs: dict[int, Any] = {}
        self._read: dict[int, int] = {}

    def __enter__(self) -> Self:
        require_submitit(self.settings)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._adopt()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        # Jobs that are cancelled write until they are killed: the next command waits for that.
        self._remember(cancelled=True)
        for job in self._jobs.values():
            with suppress(Exception):  # it may have ended by itself; the error to show is another
                job.cancel(check=False)
                if self.settings.cluster != "slurm":
                    job.wait()

    @property
    def _known(self) -> Path:
        """The file that says which jobs were submitted."""
        return self.folder / "jobs.json"

    def _adopt(self) -> None:
        """Take over the jobs of a command that was killed, as far as they wait or run."""
        import submitit

        if not self._known.is_file():
            return
        kind = submitit.SlurmJob if self.settings.cluster == "slurm" else submitit.LocalJob
        known = read_json(self._known)
        jobs = {int(n): kind(folder=self.folder, job_id=name) for n, name in known["jobs"].items()}
        left = {n: job for n, job in jobs.items() if not job.done(force_check=True)}
        if known["key"] == self.key and not known["cancelled"]:
            self._jobs = left
            self._read = {
                n: self._events(n).stat().st_size for n in left if self._events(n).exists()
            }
            return
        for job in left.values():
            job.cancel(check=False)
        while not all(job.done(force_check=True) for job in left.values()):
            time.sleep(_POLL_SECONDS)

    def start(self, number: int, work: Callable[..., None], *arguments: Any) -> None:
        """Queue a worker, unless one of that number is left of an earlier command."""
        if number not in self._jobs:
            events = self._events(number)
            events.unlink(missing_ok=True)
            self._new[number] = Task(work, arguments, events)

    def _events(self, number: int) -> Path:
        return self.folder / f"events-{number}.pickle"

    def _submit(self) -> None:
        import submitit

        executor = submitit.AutoExecutor(
            folder=self.folder,
            cluster=self.settings.cluster,
            slurm_max_num_timeout=self.settings.requeues,
        )
        named = {f"slurm_{key}": value for key, value in self.parameters.items()}
        executor.update_parameters(
            name=self.name,
            timeout_min=self.settings.minutes,
            slurm_array_parallelism=self.at_once,
            **named,
        )
        numbers = list(self._new)
        try:
            jobs = executor.submit_array([self._new[number] for number in numbers])
        except RuntimeError as e:  # what sbatch said
            why = str(e).strip().rpartition("\n")[2]
            raise UsageError(f"sbatch refused the jobs ({why}); mend the settings [slurm]") from e
        self._jobs |= dict(zip(numbers, jobs, strict=True))
        self._new.clear()
        self._remember(cancelled=False)

    def _remember(self, cancelled: bool) -> None:
        jobs = {str(number): job.job_id for number, job in self._jobs.items()}
        write_json(self._known, {"key": self.key, "cancelled": cancelled, "jobs": jobs})

    def events(self) -> Iterator[tuple[int, Any]]:
        """The workers' numbers and what they send; a job that waits for its turn sends nothing."""
        asked = time.monotonic()
        while self._new or self._jobs:
            if self._new:
                self._submit()
            heard, ask = False, time.monotonic() - asked > _ASK_SECONDS
            asked = time.monotonic() if ask else asked
            for number, job in list(self._jobs.items()):
                done, ask = job.done(force_check=ask), False  # one question is for all jobs
                for event in self._unread(number):  # after it, so that none comes later
                    heard = True
                    yield number, event
                if done:
                    heard = True
                    del self._jobs[number]
                    yield number, WorkerExit(_cause(job))
            if not heard:
                time.sleep(_POLL_SECONDS)

    def _unread(self, number: int) -> list[Any]:
        path, events = self._events(number), list[Any]()
        if not path.is_file():
            return events
        with path.open("rb") as handle:
            handle.seek(self._read.get(number, 0))
            while True:
                try:
                    events.append(pickle.load(handle))
                except Exception:  # not written to its end yet, which ends in errors of any kind
                    return events
                self._read[number] = handle.tell()


def _cause(job: Any) -> str:
    """Why a job ended before its work was done; "" if it did not."""
    if (error := job.exception()) is None:
        fault = job.result()
        if isinstance(fault, WorkerFault):
            why = fault.traceback.strip().rpartition("\n")[2]
            why = _ENDED if any(name in fault.traceback for name in _REQUEUE) else why
            return f"job {job.job_id}: {why}; its log: {job.paths.stderr}"
        return "" if fault is None else f"job {job.job_id}: {fault}"
    # submitit puts the trace between two lines of dashes.
    lines = re.split(r"\n-{10,}\n", str(error).strip())[:2]
    last = lines[-1].strip().rpartition("\n")[2]
    return f"job {job.job_id}, {job.state}: {last[:200]}; its log: {job.paths.stderr}"


_REQUEUE = ("UncompletedJobError", "scontrol")
_ENDED = "it was not queued again at its time limit; raise slurm.minutes or slurm.requeues"
