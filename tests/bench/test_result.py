"""mmctr_kit.bench.result: what follows from what was measured."""

import pytest

from mmctr_kit.bench.result import Prediction, Round, Side, Speeds, Training, Work
from mmctr_kit.bench.roofline import Ceiling


def test_an_epoch_and_all_of_test_are_extrapolated_from_the_rows_that_were_timed() -> None:
    training = Training(
        batch_size=8, rows=80, seconds=2.0, granted=0.9, epoch_rows=1000, compile_seconds=9.0
    )
    assert training.rows_per_second == 40.0
    assert training.epoch_seconds == 25.0
    assert Prediction(rows=50, seconds=0.5, split_rows=300).split_seconds == 3.0


def test_shares_are_of_what_the_device_was_measured_to_do() -> None:
    work = Work(flops=2e6, bytes=1e3, ceiling=Ceiling("bf16", flops=4e11, bytes=2e9))
    assert work.shares(1e5) == pytest.approx((0.5, 0.05))


def test_the_ratio_is_the_median_of_each_rounds_own() -> None:
    slow, quick = Speeds(10.0, 20.0), Speeds(30.0, 40.0)
    rounds = (
        Round(slow, Speeds(200.0, 200.0), 0.1),
        Round(quick, Speeds(900.0, 1200.0), 0.1),
        Round(slow, Speeds(50.0, 100.0), 0.1),
    )
    side = Side("din_official", 8, "bf16", rounds)
    assert side.ratio("wall") == 20.0
    assert side.ratio("cpu") == 10.0
    assert side.official("wall") == 10.0
    assert side.ours("cpu") == 200.0
