"""Workers of a command that runs elsewhere: find them, and kill one while it runs a trial."""

import os
import signal
import time
from pathlib import Path

from optuna.trial import TrialState

from mmctr_kit.tuning.folder import StudyFolder
from mmctr_kit.tuning.heartbeat import WORKER


def workers_of(parent: int) -> list[int]:
    """The processes that run trials: its children."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        fields = path.read_text().rpartition(")")[2].split()
        command_line = (path.parent / "cmdline").read_text()
        if int(fields[1]) == parent and "spawn_main" in command_line:
            found.append(int(path.parent.name))
    return found


def kill_in_a_trial(workers: list[int], folder: StudyFolder) -> None:
    """Kill a worker that is running a trial; one that is between two of them is let go on."""
    folder.study()  # a worker may be stopped while it holds the lock to open a database
    for _ in range(6000):
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
            running = folder.study().get_trials(deepcopy=False, states=(TrialState.RUNNING,))
            if any(f"-{worker}-" in str(t.user_attrs.get(WORKER)) for t in running):
                os.kill(worker, signal.SIGKILL)
                return
            os.kill(worker, signal.SIGCONT)
        time.sleep(0.01)
    raise AssertionError("no worker was running a trial")
