"""Options of training: which executor they make."""

from pathlib import Path

import pytest

from mmctr_kit.api.options import Options
from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.executors.settings import AnyExecutor, Slurm
from mmctr_kit.errors import UsageError


def options(executor: AnyExecutor = "local", device: str = "cpu") -> Options:
    return Options(None, (), device, 2, False, "runs", executor=executor, threads=3)


def test_the_executor_is_made_once_and_has_what_was_asked_for() -> None:
    local = options()
    assert local.made_executor == LocalExecutor("cpu", 2, 3)
    assert local.made_executor is local.made_executor
    slurm = options("slurm").made_executor
    assert (slurm.name, vars(slurm)["jobs"], vars(slurm)["settings"]) == ("slurm", 2, Slurm())


def test_a_wrong_executor_is_one_line_before_the_data_is_loaded() -> None:
    options().require()
    with pytest.raises(UsageError, match="executor 'cloud': expected one of local, ray, slurm"):
        options("cloud").require()
    with pytest.raises(UsageError, match="a GPU is called cuda"):
        options("slurm", "cuda:1").require()
    with pytest.raises(UsageError, match=r"slurm.gpus is 0"):
        options(Slurm(gpus=0), "cuda").require()


def test_a_gpu_that_this_machine_lacks_is_no_matter_where_others_train(tiny_root: Path) -> None:
    path = options("slurm", "cuda").path("run", tiny_root / "data")
    assert path == Path("runs") / "run"
