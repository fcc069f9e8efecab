"""Mistakes are the kit's own errors, before anything trains."""

from pathlib import Path

import pytest

import mmctr_kit


def test_mistakes_are_the_kits_own_errors(runs: Path, tiny_root: Path) -> None:
    data = tiny_root / "data"
    with pytest.raises(mmctr_kit.UsageError, match=r"unknown key training\.epoch "):
        mmctr_kit.load_recipe("din_demo", set={"training.epoch": 3})
    with pytest.raises(mmctr_kit.UsageError, match="no data folder at 'nowhere'"):
        mmctr_kit.cross_validate("din_demo", "nowhere")
    with pytest.raises(mmctr_kit.RunError, match="'first' exists but differs in recipe"):
        mmctr_kit.cross_validate("din_demo", data, name="first", runs=runs)
    with pytest.raises(mmctr_kit.UsageError, match=r"no run 'frist' .did you mean first"):
        mmctr_kit.open_run("frist", runs)
    with pytest.raises(mmctr_kit.UsageError, match="no task 'Task3'"):
        mmctr_kit.write_submission("first", "Task3", runs=runs)
    with pytest.raises(mmctr_kit.MmctrKitError, match="no variant 'see-off'"):
        mmctr_kit.ablate("din_demo", data, only=["see-off"], runs=runs)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        mmctr_kit.trian  # type: ignore[attr-defined]  # noqa: B018
