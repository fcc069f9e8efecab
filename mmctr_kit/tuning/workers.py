"""The search of a study: trials run in this process, or in parallel in worker processes."""

from multiprocessing.connection import Connection
from pathlib import Path

from mmctr_kit.cv.parallel import Resources, WorkerConfig
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


def run_search(
    folder: StudyFolder,
    recipe: Recipe,
    search: Search,
    data: ChallengeData,
    resources: Resources,
    budget: Budget,
    listen: Listener,
) -> None:
    """Run trials until the budget is spent, in this process or, with several workers, in others."""
    configs = [resources.worker(number, recipe, data) for number in range(resources.workers)]
    if resources.workers > 1:
        run_workers(folder, configs, search, budget, listen)
        return
    from mmctr_kit.training.device import prepare

    prepare(resources.device, resources.threads)
    runner = TrialRunner(recipe, data, resources.device)
    Worker(folder, runner, search, budget, listen).work()


def run_workers(
    folder: StudyFolder,
    configs: list[WorkerConfig],
    search: Search,
    budget: Budget,
    listen: Listener,
) -> None:
    """Run trials in a worker process for each of ``configs`` until the budget is spent.

    If a worker is killed, its trial is marked as failed and another worker takes its place. Raises
    RunError if that happens again and again, and the MmctrKitError that a worker raises.
    """
    deaths = 0
    try:
        with WorkerPool() as pool:
            for number, config in enumerate(configs):
                pool.start(number, _work, config, folder.path, search, budget)
            for number, event in pool.events():
                if not isinstance(event, WorkerExit):
                    listen(event)
                elif event.signal:
                    deaths += 1
                    failed = folder.reap()
                    listen(WorkerDied(event.signal, tuple(t.number for t in failed)))
                    if deaths > _DEATHS * len(configs):
                        raise RunError(
                            f"{KILLED}, and so were {deaths - 1} before it; the same command goes "
                            "on where it stopped, with fewer --workers in less memory"
                        )
                    pool.start(number, _work, configs[number], folder.path, search, budget)
    except BaseException:
        folder.reap()
        raise


def _work(
    config: WorkerConfig, folder: Path, search: Search, budget: Budget, pipe: Connection
) -> None:
    runner = TrialRunner(config.recipe, config.load(), config.device)
    Worker(StudyFolder(folder), runner, search, budget, pipe.send).work()
