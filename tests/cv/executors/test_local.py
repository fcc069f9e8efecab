"""This machine as executor: how many workers there are, and what happens if memory is short.

What comes out of it is tested in tests/cv/test_run.py.
"""

from pathlib import Path
from typing import Any

import pytest

from mmctr_kit.cv.executors import local
from mmctr_kit.cv.executors.local import LocalExecutor, free_memory, with_room
from mmctr_kit.cv.fold import Progress
from mmctr_kit.cv.plan import plan_cv
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import MemoryShortageError
from mmctr_kit.recipe import load_recipe
from tests.cv.epochs import epochs

SHORT = ("training.epochs=1", "folds.count=2")


def test_there_are_as_many_workers_as_memory_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(local, "available_cores", lambda: 8)
    monkeypatch.setattr(local, "peak_process_bytes", lambda: 10)
    for free, expected in ((None, 8), (1000, 8), (39, 3), (5, 1)):
        monkeypatch.setattr(local, "free_memory", lambda free=free: free)
        assert with_room(8) == expected
        resources = LocalExecutor("cpu").resources(None, uses_gpu=True)
        assert (resources.workers, resources.threads) == (expected, 1)
    assert LocalExecutor("cpu", jobs=8).resources(None, True).workers == 8  # as it was told


def test_the_free_memory_is_less_than_the_whole() -> None:
    total = Path("/proc/meminfo")
    if not total.is_file():
        assert free_memory() is None
        return
    kilobytes = int(total.read_text().split()[1])
    free = free_memory()
    assert free is not None
    assert 2**20 < free < 1024 * kilobytes


def short_of_memory(*_: Any, **__: Any) -> None:
    raise MemoryShortageError("the GPU's memory is full; use less")


def work_short(config: Any, expected: Any, path: Path, pipe: Any) -> None:
    """The worker of which a mark in the run's folder says that it had its turn is short."""
    mark = path / ".short"
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        local._work(config, expected, path, pipe)
        return
    pipe.recv()
    pipe.send(local.Short(MemoryShortageError("the GPU's memory is full; use less")))


@pytest.mark.slow
def test_a_fold_that_is_short_of_memory_goes_on_with_fewer_beside_it(
    tiny: ChallengeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_cv(load_recipe("din_demo", SHORT), tiny, LocalExecutor("cpu", 2, 1))
    told: list[Progress] = []
    with monkeypatch.context() as patch:
        patch.setattr(local, "_work", work_short)
        with pytest.warns(UserWarning, match="memory is full; use less; going on with 1"):
            run = run_cv(plan, tmp_path / "run", False, epochs(told.append))
    assert run is not None
    assert {p.fold for p in told if p.epoch is None} == {0, 1}


def test_the_last_one_that_is_short_of_memory_is_the_error(
    tiny: ChallengeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_cv(load_recipe("din_demo", SHORT), tiny, LocalExecutor("cpu", 1, 1))
    monkeypatch.setattr(local, "fit_fold", short_of_memory)
    with pytest.raises(MemoryShortageError, match="use less"):
        run_cv(plan, tmp_path / "run", False, lambda _: None)
