"""mmctr_kit.check_rules: one verdict for each task, or for the task that is asked for."""

from pathlib import Path

import pytest

import mmctr_kit
from mmctr_kit.api.rules import find_task
from mmctr_kit.data.contract import Task


def test_the_verdict_of_one_task_stands_alone(runs: Path) -> None:
    every = mmctr_kit.check_rules("both", runs=runs)
    assert every.verdicts == {"Task1": "breached", "Task2": "breached", "Task1&2": "unclear"}
    one = mmctr_kit.check_rules("both", "BOTH", runs=runs)
    assert one.verdicts == {"Task1&2": "unclear"}
    assert set(one.table().task) == {"Task1&2"}
    assert repr(one) == "RulesResult('both: rules kept: none; unclear: Task1&2')"


def test_a_task_is_found_by_its_column_and_by_its_short_name() -> None:
    names = {"Task1": Task.TASK1, "task2": Task.TASK2, "both": Task.BOTH, "TASK1&2": Task.BOTH}
    for name, task in names.items():
        assert find_task(name) is task
    with pytest.raises(mmctr_kit.UsageError, match="no task '3'; expected Task1, Task2 or both"):
        find_task("3")
