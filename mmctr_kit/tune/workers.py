"""The workers of a study side by side, each in a process of its own that may be killed.

A queue that several processes write to hangs where one is killed while it holds the queue's lock;
so each worker has a pipe of its own.
"""

import multiprocessing
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from mmctr_kit.cv.parallel import Crew
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.errors import DataError, MmctrKitError, RunError, refusal, warn_in_one_line
from mmctr_kit.processes import end_with_parent
from mmctr_kit.recipe import Recipe, parse_recipe
from mmctr_kit.recipe.search import Range, Search
from mmctr_kit.tune.folder import StudyFolder
from mmctr_kit.tune.trial import Trials
from mmctr_kit.tune.worker import Budget, Died, Event, Listener, Worker

_DEATHS = 3
"""So many workers may be killed for each of the crew before the command ends."""


@dataclass(frozen=True)
class Told:
    """What a worker process is told. A recipe's model block is a class made at run time, which
    pickle can't name, so the recipe goes as plain values."""

    recipe: Mapping[str, Any]
    search: Mapping[str, Any]
    data: Path
    rows: str
    folder: Path
    device: str
    threads: int
    seed: int
    budget: Budget


def search_here(
    folder: StudyFolder,
    recipe: Recipe,
    search: Search,
    data: ChallengeData,
    crew: Crew,
    budget: Budget,
    listen: Listener,
) -> None:
    """Run trials in this process until the budget is spent."""
    from mmctr_kit.training.device import prepare

    prepare(crew.device, crew.threads)
    trials = Trials(recipe, data, crew.device)
    Worker(folder, trials, search, recipe.folds.seed, budget, listen).work()


def search_side_by_side(
    folder: StudyFolder,
    recipe: Recipe,
    search: Search,
    data: ChallengeData,
    crew: Crew,
    budget: Budget,
    listen: Listener,
) -> None:
    """Run trials in ``crew.workers`` processes until the budget is spent.

    A killed worker's trial is marked as failed and another worker takes its place. Raises RunError
    where that happens again and again, and what a worker raised.
    """

    def told(number: int) -> Told:
        return Told(
            recipe=recipe.resolved(),
            search={key: values.as_plain() for key, values in search.items()},
            data=data.folder,
            rows=data.rows_fingerprint,
            folder=folder.path,
            device=crew.card(number),
            threads=crew.threads,
            seed=recipe.folds.seed,
            budget=budget,
        )

    _Processes(folder, [told(n) for n in range(crew.workers)], listen).run()


class _Processes:
    def __init__(self, folder: StudyFolder, told: list[Told], listen: Listener) -> None:
        self.folder, self.told, self.listen = folder, told, listen
        self.context = multiprocessing.get_context("spawn")
        self.running: dict[int, tuple[BaseProcess, Connection]] = {}
        self.deaths = 0

    def run(self) -> None:
        try:
            for number in range(len(self.told)):
                self._begin(number)
            while self.running:
                pipes = {pipe: number for number, (_, pipe) in self.running.items()}
                for ready in wait(list(pipes)):
                    assert isinstance(ready, Connection)
                    self._hear(pipes[ready], ready)
        except BaseException:
            for process, _ in self.running.values():
                process.terminate()
            for process, _ in self.running.values():
                process.join()
            self.folder.reap()
            raise

    def _begin(self, number: int) -> None:
        receiver, sender = self.context.Pipe(duplex=False)
        process = self.context.Process(target=_work, args=(self.told[number], sender), daemon=True)
        # Ctrl-C reaches all processes of a terminal; this one ends its workers. The mask, unlike a
        # handler, holds from a worker's first instruction on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        sender.close()  # so that the pipe ends with the worker
        self.running[number] = (process, receiver)

    def _hear(self, number: int, pipe: Connection) -> None:
        try:
            event: Event | MmctrKitError = pipe.recv()
        except (EOFError, OSError):
            self._ended(number)
            return
        if isinstance(event, MmctrKitError):
            raise event
        self.listen(event)

    def _ended(self, number: int) -> None:
        process, pipe = self.running.pop(number)
        process.join()
        pipe.close()
        code = process.exitcode
        if code == 0:
            return
        if code is None or code > 0:
            raise RuntimeError("a worker of the study ended with an error; it is told above")
        self.deaths += 1
        failed = self.folder.reap()
        self.listen(Died(-code, tuple(t.number for t in failed)))
        if self.deaths > _DEATHS * len(self.told):
            raise RunError(
                "workers are killed again and again, perhaps for want of memory; the same command "
                "goes on where it stopped, with fewer --workers in less memory"
            )
        self._begin(number)


def _work(told: Told, pipe: Connection) -> None:
    """The whole life of a worker process."""
    warn_in_one_line()
    threading.Thread(target=end_with_parent, daemon=True).start()
    try:
        _search(told, pipe)
    except MmctrKitError as e:
        pipe.send(e)
    except OSError as e:
        if (refused := refusal(e)) is None:
            raise
        pipe.send(refused)


def _search(told: Told, pipe: Connection) -> None:
    from mmctr_kit.training.device import prepare

    prepare(told.device, told.threads)
    recipe, data = parse_recipe(told.recipe, "recipe"), load(told.data)
    if data.rows_fingerprint != told.rows:
        raise DataError("the data changed while the study began; run the same command again")
    search = {key: Range.model_validate(values) for key, values in told.search.items()}
    trials = Trials(recipe, data, told.device)
    Worker(StudyFolder(told.folder), trials, search, told.seed, told.budget, pipe.send).work()
