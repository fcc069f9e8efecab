"""mmctr_kit.export.trackers: once, and again only if something changed."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from mmctr_kit.errors import UsageError
from mmctr_kit.export import trackers
from mmctr_kit.export.record import Record
from mmctr_kit.export.trackers import Exported, Tool, export, gather, require_tool
from tests.export.memory import MemoryTracker
from tests.report.made import TRIALS


def put(each: list[Record], tracker: MemoryTracker) -> dict[str, str]:
    heard: list[tuple[int, Exported]] = []
    done = export(each, tracker, lambda number, one: heard.append((number, one)))
    assert heard == list(enumerate(done, 1))
    return {one.name: one.state for one in done}


def test_twice_gives_one_copy(exported_runs: Path) -> None:
    each, tracker = gather(["alpha", "mix", "small"], exported_runs, False), MemoryTracker()
    assert set(put(each, tracker).values()) == {"written"}
    assert len(tracker.copies) == len(each) == TRIALS + 4
    tracker.done.clear()
    again = gather(["alpha", "mix", "small"], exported_runs, False)
    assert set(put(again, tracker).values()) == {"unchanged"}
    assert tracker.done == []


def test_what_changed_is_replaced_and_nothing_else(exported_runs: Path) -> None:
    alpha, mix = gather(["alpha", "mix"], exported_runs, False)
    tracker = MemoryTracker()
    put([alpha, mix], tracker)
    tracker.done.clear()
    changed = replace(alpha, metrics={**alpha.metrics, "valid_auc": 0.5})
    assert put([changed, mix], tracker) == {"alpha": "replaced", "mix": "unchanged"}
    assert tracker.done == [("remove", "alpha"), ("write", "alpha")]


def test_a_study_s_trials_are_written_anew_with_it(exported_runs: Path) -> None:
    study, *others = gather(["small"], exported_runs, False)
    tracker = MemoryTracker()
    put([study, *others], tracker)
    changed = replace(study, metrics={**study.metrics, "optimism": 0.5})
    assert set(put([changed, *others], tracker).values()) == {"replaced"}


def test_a_run_named_twice_is_one_record_and_a_finalist_stays_its_study_s(
    exported_runs: Path, tmp_path: Path
) -> None:
    shutil.copytree(exported_runs / "alpha", tmp_path / "copy")
    names = ["alpha", str(tmp_path / "copy"), "alpha"]
    assert [r.name for r in gather(names, exported_runs, False)] == ["alpha"]
    finalist = "small.study/finalists/trial-7"
    for names in (["small", finalist], [finalist, "small"]):
        found = [r for r in gather(names, exported_runs, False) if r.tags["kind"] == "cv"]
        assert [r.name for r in found] == ["small-finalist-7"]
        assert found[0].parent is not None


def test_mistakes_are_one_line_before_anything_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"expected one of mlflow, .*; found 'neptune'"):
        require_tool("neptune", None)
    absent = dict.fromkeys(get_args(Tool), ("json", "no_such_package"))
    with monkeypatch.context() as patch:
        patch.setattr(trackers, "NEEDED", absent)
        with pytest.raises(UsageError) as refused:
            require_tool("wandb", None)
    assert str(refused.value) == (
        "--to wandb needs no_such_package, not installed here; pip install 'mmctr-kit[wandb]'"
    )
    monkeypatch.setattr(trackers, "NEEDED", dict.fromkeys(get_args(Tool), ("json",)))
    require_tool("trackio", "project")
    with pytest.raises(UsageError, match="TensorBoard has no projects; leave out --project"):
        require_tool("tensorboard", "project")


def test_no_tool_is_imported_unless_it_is_asked_for() -> None:
    code = (
        "import sys, mmctr_kit.export.trackers, mmctr_kit.api.export, mmctr_kit.cli.app\n"
        f"print([name for name in {get_args(Tool)!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
