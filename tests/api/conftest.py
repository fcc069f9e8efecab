"""What tests of the public functions share: one core, and a folder of small runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import mmctr_kit

SHORT = {"training.epochs": 1, "training.min_steps": 0, "folds.count": 2}


@pytest.fixture(autouse=True, scope="session")
def one_core() -> Iterator[None]:
    """Small models on several threads mostly wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmctr_kit.cv.executors.local.available_cores", lambda: 1)
        yield


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path) -> Path:
    """A folder with the runs first and second, and the blend both."""
    folder = tmp_path_factory.mktemp("runs")
    for name, recipe in (("first", "din_demo"), ("second", "history_length_only")):
        mmctr_kit.cross_validate(
            recipe, tiny_root / "data", name=name, set=SHORT, jobs=1, runs=folder
        )
    mmctr_kit.blend(["first", "second"], "both", method="mean", runs=folder)
    return folder
