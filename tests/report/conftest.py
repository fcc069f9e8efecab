"""What the report's tests share."""

from pathlib import Path

import pytest

from mmctr_kit.data.dataset import ChallengeData
from tests.report.made import make_all


@pytest.fixture(scope="session")
def made_runs(tmp_path_factory: pytest.TempPathFactory, tiny: ChallengeData) -> Path:
    """Five made-up runs, their blend ``mix`` and an ablation of ``alpha``. Read only."""
    return make_all(tmp_path_factory.mktemp("report") / "runs", tiny)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without what is in their figures, which takes most of a page's time."""
    monkeypatch.setattr("mmctr_kit.report.blocks.svg", lambda *_: "<svg></svg>")
