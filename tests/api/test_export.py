"""mmctr_kit.api.export: runs to a tracker from Python. tests/extras has the trackers themselves."""

from pathlib import Path

import pytest

import mmctr_kit
from mmctr_kit.api.progress import ProgressEvent
from mmctr_kit.errors import UsageError
from mmctr_kit.export import trackers
from mmctr_kit.runs.run import Run
from tests.export.conftest import exported_runs
from tests.export.memory import MemoryTracker

__all__ = ["exported_runs"]  # a fixture


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryTracker:
    """The tracker that is opened, whichever is asked for."""
    tracker = MemoryTracker()
    monkeypatch.setattr(trackers, "require_tool", lambda *_: None)
    monkeypatch.setattr(trackers, "open_tracker", lambda *_: tracker)
    return tracker


def test_the_table_says_what_became_of_each(memory: MemoryTracker, exported_runs: Path) -> None:
    events: list[ProgressEvent] = []
    alpha = Run(exported_runs / "alpha")
    made = mmctr_kit.export_runs(
        [alpha, "mix"], "mlflow", runs=exported_runs, progress=events.append
    )
    assert made.place == "memory"
    assert made.table().name.tolist() == ["alpha", "mix"]
    assert made.table().state.tolist() == ["written", "written"]
    assert made.table().key.tolist() == list(memory.copies)
    assert [(e.done, e.total) for e in events[1:]] == [(1, 2), (2, 2)]
    again = mmctr_kit.export_runs(["alpha"], "mlflow", runs=exported_runs)
    assert again.table().state.tolist() == ["unchanged"]
    assert "2 copies" in repr(made)
    assert "<b>memory</b>" in made._repr_html_()


@pytest.mark.usefixtures("memory")
def test_one_name_is_no_list(exported_runs: Path) -> None:
    with pytest.raises(UsageError, match="sources: expected a list, found 'alpha'"):
        mmctr_kit.export_runs("alpha", "mlflow", runs=exported_runs)
