"""A call of a public function is recorded as Python to type again, without passwords."""

import inspect
from pathlib import Path

import numpy as np
import pytest

import mmctr_kit
from mmctr_kit.api.recorded import call_text, recorded
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.runs.call import called, calling
from mmctr_kit.runs.run import Run

RECORDED = ("cross_validate", "fit", "tune", "ablate", "train_family", "blend")
RECORDED += ("import_predictions", "reproduce")


@recorded
def work(first: object, *, second: object = None, progress: object = None) -> str | None:
    """Work."""
    del first, second, progress
    return calling()


def test_a_call_is_written_as_it_was_made() -> None:
    said = work("din_demo", second={"training.epochs": 1, "seeds": [0, 1]}, progress=print)
    assert said == "mmctr_kit.work('din_demo', second={'training.epochs': 1, 'seeds': [0, 1]})"
    assert calling() is None


def test_data_and_runs_are_named_by_their_folder_and_others_by_their_type(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    values = (tiny, Run(tmp_path / "x"), Path("a b"), np.zeros(2), None, 1.5, True)
    expected = [repr(str(tiny.folder)), repr(str(tmp_path / "x")), "'a b'", "<ndarray>"]
    text = ", ".join([*expected, "None", "1.5", "True"])
    assert call_text(work, values, {}) == f"mmctr_kit.work({text})"


def test_a_password_is_not_recorded() -> None:
    said = work("x", second="postgresql://me:secret@host/t")
    assert said == "mmctr_kit.work('x', second='postgresql://***@host/t')"


def test_a_command_line_that_is_known_is_kept() -> None:
    with called("mmctr-kit cv x"):
        assert work("x") == "mmctr-kit cv x"


@pytest.mark.parametrize("name", RECORDED)
def test_every_function_that_begins_something_records_it_and_shows_its_parameters(
    name: str,
) -> None:
    function = getattr(mmctr_kit, name)
    assert function.__wrapped__.__name__ == name
    assert "args" not in inspect.signature(function).parameters
