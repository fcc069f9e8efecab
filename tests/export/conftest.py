"""What is exported in these tests: made-up runs, their blend and a study."""

from pathlib import Path

import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.ensemble.runs import blend_runs
from mmctr_kit.runs.run import Run
from tests.report.made import NAMES, make_run, make_study


def make_exported(root: Path, data: ChallengeData) -> Path:
    """Five runs, their blend ``mix`` and the study ``small``; returns ``root``."""
    runs: list[Run] = [make_run(root, n, data, 0.6 + 0.3 * i, i) for i, n in enumerate(NAMES)]
    assert blend_runs(runs, "mean", root / "mix", False) is not None
    make_study(root, "small", data)
    return root


@pytest.fixture(scope="session")
def exported_runs(tmp_path_factory: pytest.TempPathFactory, tiny: ChallengeData) -> Path:
    """The folder of those runs. Read only."""
    return make_exported(tmp_path_factory.mktemp("export") / "runs", tiny)
