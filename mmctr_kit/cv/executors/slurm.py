"""A SLURM cluster: each fold model is an element of an array job, submitted by submitit.

The runs folder lies on a disk that all nodes share, so that a job writes its fold folder itself. A
job that is preempted, or reaches its time limit, is queued again and goes on from its last epoch.
"""

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmctr_kit.cv.executors.base import Pipe, Resources, WorkerConfig, require_wish
from mmctr_kit.cv.executors.local import fit_jobs
from mmctr_kit.cv.executors.settings import Slurm
from mmctr_kit.cv.executors.slurm_pool import SlurmPool, require_submitit
from mmctr_kit.cv.fold import FitContext, Job, Listener
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.errors import RunError, UsageError, plural
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.processes import WorkerExit
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.writer import RunWriter

_EVERY = 10.0
"""Seconds between two messages of how far an epoch is: each is kept in a file on a shared disk."""

_TRIALS = 4
"""How many workers a study has if nobody says."""


@dataclass(frozen=True)
class SlurmExecutor:
    """The nodes of a SLURM cluster. Arguments beside ``settings`` as of LocalExecutor.

    ``device`` is a wish: 'auto' is a GPU if the settings ask for one.
    """

    settings: Slurm
    device: str = "auto"
    jobs: int | None = None
    threads: int | None = None
    name = "slurm"

    def require(self) -> None:
        require_wish(self.device, self.name)
        if self.device == "cuda" and not self.settings.gpus:
            raise UsageError("device cuda: slurm.gpus is 0; set it to 1, or use --device cpu")
        require_submitit(self.settings)

    def resources(self, models: int | None, uses_gpu: bool) -> Resources:
        from mmctr_kit.training.device import describe_device

        gpu = uses_gpu and self.settings.gpus > 0 and self.device != "cpu"
        workers = self.jobs or models or _TRIALS
        workers = workers if models is None else min(workers, models)
        threads = self.threads or self.settings.cpus
        kind = self.settings.constraint or self.settings.partition or "of any kind"
        hardware = f"GPU ({kind})" if gpu else describe_device("cpu")
        return Resources(("cuda:0" if gpu else "cpu",), workers, threads, hardware)

    def config(
        self, resources: Resources, number: int, recipe: Recipe, data: ChallengeData
    ) -> WorkerConfig:
        return replace(resources.worker(number, recipe, data), folder=data.folder.resolve())

    def pool(
        self, resources: Resources, recipe: Recipe, data: ChallengeData, folder: Path
    ) -> SlurmPool:
        same = (recipe.content(), data.rows_fingerprint, resources.device, resources.threads)
        return SlurmPool(
            self.settings,
            recipe.name,
            fingerprint(*same),
            _home(folder),
            self._parameters(resources),
            resources.workers,
        )

    def _parameters(self, resources: Resources) -> dict[str, Any]:
        """The parameters of sbatch, as submitit names them."""
        settings = self.settings
        named = {
            "partition": settings.partition,
            "account": settings.account,
            "qos": settings.qos,
            "constraint": settings.constraint,
            "setup": list(settings.setup),
        }
        asked: dict[str, Any] = {key: value for key, value in named.items() if value}
        asked |= {"time": settings.minutes, "mem": f"{settings.memory}GB"}
        asked |= {"cpus_per_task": resources.threads, "ntasks_per_node": 1}
        asked |= {"additional_parameters": {"requeue": True}}
        return asked | ({} if resources.device == "cpu" else {"gpus_per_node": settings.gpus})

    def preview(self, resources: Resources, recipe: Recipe, jobs: int, folder: Path) -> str:
        """The script that would be handed to sbatch for so many jobs."""
        from submitit.slurm.slurm import _make_sbatch_string

        home = _home(folder).resolve()
        command = [sys.executable, "-u", "-m", "submitit.core._submit", str(home)]
        return str(
            _make_sbatch_string(
                command=shlex.join(command),
                folder=home,
                job_name=recipe.name,
                map_count=jobs,
                array_parallelism=resources.workers,
                **self._parameters(resources),
            )
        )

    def fit_folds(
        self, context: FitContext, resources: Resources, jobs: Sequence[Job], listen: Listener
    ) -> None:
        """Fit each job's fold model as a job of the cluster; all that can end before an error."""
        recipe, path = context.recipe, context.writer.path
        config = self.config(resources, 0, recipe, context.data)
        prints, failed = context.items.fingerprints, list[str]()
        with self.pool(resources, recipe, context.data, path) as pool:
            for job in jobs:
                # A number that names the job, by which a later command finds it again.
                pool.start(_number(job), fit_one, config, prints, path.resolve(), job)
            named = {_number(job): job for job in jobs}
            for number, event in pool.events():
                if not isinstance(event, WorkerExit):
                    listen(event)
                elif event.cause and not context.writer.fold(*named[number]).finished:
                    failed.append(event.cause)
            if failed:  # in the block, so that the logs are kept
                raise RunError(
                    f"{plural(len(failed), 'fold model')} failed ({failed[0]}); the same command "
                    "goes on where it stopped"
                )


def _number(job: Job) -> int:
    fold, seed = job
    return (fold + 1) * 2**32 + seed


def _home(folder: Path) -> Path:
    """Where the jobs for a run or study folder keep their scripts, logs and events."""
    return folder.parent / ".slurm" / folder.name


def fit_one(
    config: WorkerConfig, expected: tuple[str, ...], path: Path, job: Job, pipe: Pipe
) -> None:
    """A job's work: fit one fold model into the run folder at ``path``."""
    began = time.perf_counter()
    recipe, data = config.load()
    items = ItemFeatures.derive(recipe, data)
    if items.fingerprints != expected:
        raise RunError(
            "a compute node makes other item vectors than the machine that submitted the job; "
            "submit from a node of the same kind"
        )
    context = FitContext(recipe, data, items, RunWriter(path))
    if not context.writer.fold(*job).finished:
        fit_jobs(context, config.device, [job], pipe.send, began, _EVERY)
