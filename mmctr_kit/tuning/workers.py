"""The search of a study: trials run in this process, or in parallel in worker processes."""

from multiprocessing.connection import Connection
from pathlib import Path

from mmctr_kit.cv.parallel import Resources, WorkerConfig, worker_config
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError
from mmctr_kit.processes import KILLED, WorkerExit, WorkerPool
from mmctr_kit.recipe import Recipe
from mmctr_kit.recipe.search import Search
from mmctr_kit.tuning.folder import StudyFolder
from mmctr_kit.tuning.trial import TrialRunner
from mmctr_kit.tuning.worker import Budget, Listener, Worker, WorkerDied

_DEATHS = 3
"""How many workers may be killed, for each worker of the command, before it ends."""


def search_serial(
    folder: StudyFolder,
    recipe: Recipe,
    search: Search,
    data: ChallengeData,
    resources: Resources,
    budget: Budget,
    listen: Listener,
) -> None:
    """Run trials in this process until the budget is spent."""
    from mmctr_kit.training.device import prepare

    prepare(resources.device, resources.threads)
    runner = TrialRunner(recipe, data, resources.device)
    Worker(folder, runner, search, budget, listen).work()


def search_parallel(
    folder: StudyFolder,
    recipe: Recipe,
    search: Search,
    data: ChallengeData,
    resources: Resources,
    budget: Budget,
    listen: Listener,
) -> None:
    """Run trials in ``resources.workers`` processes until the budget is spent.

    If a worker is killed, its trial is marked as failed and another worker takes its place. Raises
    RunError if that happens again and again, and the MmctrKitError that a worker raises.
    """

    def start(number: int) -> None:
        config = worker_config(recipe, data, resources, number)
        pool.start(number, _search, config, folder.path, search, budget)

    deaths = 0
    try:
        with WorkerPool() as pool:
            for number in range(resources.workers):
                start(number)
            for number, event in pool.events():
                if not isinstance(event, WorkerExit):
                    listen(event)
                elif event.signal:
                    deaths += 1
                    failed = folder.reap()
                    listen(WorkerDied(event.signal, tuple(t.number for t in failed)))
                    if deaths > _DEATHS * resources.workers:
                        raise RunError(
                            f"{KILLED}, and so were {deaths - 1} before it; the same command goes "
                            "on where it stopped, with fewer --workers in less memory"
                        )
                    start(number)
    except BaseException:
        folder.reap()
        raise


def _search(
    config: WorkerConfig, folder: Path, search: Search, budget: Budget, pipe: Connection
) -> None:
    runner = TrialRunner(config.recipe, config.load(), config.device)
    Worker(StudyFolder(folder), runner, search, budget, pipe.send).work()
