"""mmctr_kit.bench.result: what follows from what was measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmctr_kit.bench.result import (
    Prediction,
    Roofline,
    Round,
    Training,
    Versus,
    Work,
    read_versus,
)
from mmctr_kit.errors import UsageError
from mmctr_kit.files import write_json


def test_an_epoch_and_all_of_test_are_extrapolated_from_the_rows_that_were_timed() -> None:
    training = Training(
        batch_size=8, rows=80, seconds=2.0, cpu_share=0.9, epoch_rows=1000, compile_seconds=9.0
    )
    assert training.rows_per_second == 40.0
    assert training.epoch_seconds == 25.0
    assert Prediction(rows=50, seconds=0.5, split_rows=300).split_seconds == 3.0


def test_shares_are_of_what_the_device_was_measured_to_do() -> None:
    work = Work(flops=2e6, bytes=1e3, roofline=Roofline("bf16", flops=4e11, bytes=2e9))
    assert work.shares(1e5) == pytest.approx((0.5, 0.05))


SLOW = {"wall": 10.0, "cpu": 20.0}
VERSUS = Versus(
    "din_official",
    "CPU, 2 threads",
    8,
    "bf16",
    (
        Round(SLOW, {"wall": 200.0, "cpu": 200.0}, 0.1),
        Round({"wall": 30.0, "cpu": 40.0}, {"wall": 900.0, "cpu": 1200.0}, 0.1),
        Round(SLOW, {"wall": 50.0, "cpu": 100.0}, 0.1),
    ),
)


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    assert VERSUS.speeds("wall") == (10.0, 200.0, 20.0)
    assert VERSUS.speeds("cpu")[1:] == (200.0, 10.0)


def test_a_comparison_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write_json(tmp_path / "versus.json", VERSUS.as_json())
    assert read_versus(tmp_path / "versus.json") == VERSUS


@pytest.mark.parametrize("content", [{}, {"rounds": [{}]}, replace(VERSUS, rounds=()).__dict__])
def test_another_file_is_refused_in_one_line(tmp_path: Path, content: dict[str, object]) -> None:
    path = tmp_path / "versus.json"
    with pytest.raises(UsageError, match=r"run that script with --out"):
        read_versus(path)
    write_json(path, content)
    with pytest.raises(UsageError, match=r"versus\.json' is not a result of"):
        read_versus(path)
