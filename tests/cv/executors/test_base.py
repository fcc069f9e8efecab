"""mmctr_kit.cv.parallel: which worker works on what; how runs come out is tested in test_run."""

import pickle
from dataclasses import replace

import pytest

from mmctr_kit.cv.executors.base import Resources, WorkerConfig
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import DataError
from mmctr_kit.recipe import load_recipe

TWO = Resources(("cuda:0", "cuda:1"), workers=3, threads=2, hardware="H100")


def test_workers_are_spread_over_the_devices() -> None:
    assert [TWO.worker_device(n) for n in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert TWO.device == "cuda:0"


def test_a_worker_is_set_up_with_what_the_command_has(tiny: ChallengeData) -> None:
    recipe = load_recipe("din_demo")
    config = TWO.worker(1, recipe, tiny)
    assert config == WorkerConfig(recipe, tiny.folder, tiny.rows_fingerprint, "cuda:1", 2)
    assert pickle.loads(pickle.dumps(config)) == config


def test_a_worker_refuses_rows_that_changed(tiny: ChallengeData) -> None:
    config = Resources(("cpu",), 1, 1, "CPU").worker(0, load_recipe("din_demo"), tiny)
    assert config.load()[1].rows_fingerprint == tiny.rows_fingerprint
    with pytest.raises(DataError, match=rf"{tiny.folder} changed while the command began"):
        replace(config, rows_fingerprint="of yesterday").load()
