"""The settings of executors: wrong ones are one line before anything is asked of a cluster."""

import pytest

from mmctr_kit.cv.executors.settings import EXECUTORS, Ray, Slurm, settings_of
from mmctr_kit.errors import UsageError


def test_each_executor_has_its_settings() -> None:
    kinds = {name: type(settings_of(name, {})) for name in EXECUTORS}
    assert kinds == {"local": str, "ray": Ray, "slurm": Slurm}
    assert settings_of("ray", {"address": "head:1", "gpus": 1}) == Ray("head:1")
    asked = {"partition": "gpu", "setup": ["module load cuda"]}
    assert settings_of("slurm", asked) == Slurm("gpu", setup=("module load cuda",))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("rai", {}, "executor 'rai': expected one of local, ray, slurm .did you mean ray"),
        ("ray", {"adress": "a:1"}, "ray.adress: no such setting .did you mean address"),
        ("ray", {"ship": 1}, "ray.ship: expected true or false, got 1"),
        ("ray", {"gpus": True}, "ray.gpus: expected a number, got True"),
        ("ray", {"gpus": 1.5}, "ray.gpus: expected a part of one GPU.*got 1.5"),
        ("ray", {"gpus": 0}, "ray.gpus: expected a part of one GPU"),
        ("ray", {"address": ""}, "ray.address: expected HOST:PORT of the head, or auto, got ''"),
        ("ray", {"address": "ray://head:10001"}, "expected HOST:PORT .*, got 'ray://head:10001'"),
        ("ray", {"retries": -1}, "ray.retries: expected 0 or more"),
        ("slurm", {"minutes": 0}, "slurm.minutes: expected 1 or more, got 0"),
        ("slurm", {"minutes": "4h"}, "slurm.minutes: expected a whole number, got '4h'"),
        ("slurm", {"setup": "module"}, "slurm.setup: expected a list, got 'module'"),
        ("slurm", {"gpus": 2}, "a fold model uses 0 or 1 GPU"),
        ("slurm", {"cluster": "moon"}, "slurm.cluster: expected slurm or local"),
    ],
)
def test_a_wrong_setting_is_named(name: str, values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        settings_of(name, values)
