"""Work for SLURM jobs of tests, in a module of its own: what a job imports takes seconds."""

import os
import signal

from mmctr_kit.errors import RunError


def work_and_fail(_: object) -> None:
    raise RunError("the disk is gone")


def work_and_die(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
