"""mmctr_kit.cv.model_cost: what a model costs, measured in a process of its own."""

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.cv.executors.base import Resources
from mmctr_kit.cv.executors.local import LocalExecutor
from mmctr_kit.cv.model_cost import (
    CANDIDATES,
    Measured,
    cached_cost,
    latencies,
    measure_cost,
    requests,
)
from mmctr_kit.cv.plan import Plan, plan_cv
from mmctr_kit.cv.run import run_cv
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import RunError
from mmctr_kit.recipe import load_recipe
from mmctr_kit.runs.writer import RunWriter

SETTINGS = ("training.epochs=1", "training.batch_size=256", "folds.count=2")


def plan_here(data: ChallengeData, *settings: str) -> Plan:
    plan = plan_cv(load_recipe("din_demo", (*SETTINGS, *settings)), data, LocalExecutor("cpu", 1))
    return replace(plan, resources=Resources(("cpu",), 1, 1, "CPU"))


@pytest.fixture(scope="module")
def run(tiny: ChallengeData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "a"
    assert run_cv(plan_here(tiny), path, False, lambda _: None) is not None
    return path


@pytest.fixture(scope="module")
def measured(tiny: ChallengeData, run: Path) -> Measured:
    """Measured from a process that itself fills far more memory."""
    ballast = np.ones(1 << 27)  # 1 GiB
    found = measure_cost(plan_here(tiny), run, run.parent / "costs" / "a.json")
    assert ballast.all()
    return found


@pytest.mark.slow
def test_parameters_are_the_models(run: Path, measured: Measured) -> None:
    weights = RunWriter(run).fold(0, 0).weights()
    assert measured.parameters == sum(
        v.size for k, v in weights.items() if k not in ("known_user", "trained_rows")
    )


@pytest.mark.slow
def test_a_latency_for_each_size_of_request_from_enough_of_them(measured: Measured) -> None:
    assert tuple(each.candidates for each in measured.latency) == CANDIDATES
    for each in measured.latency:
        assert 0 < each.p50_ms <= each.p99_ms
        assert each.requests >= 100
    assert measured.latency[0].p50_ms < measured.latency[-1].p50_ms
    assert measured.train_rows_per_second > 0


@pytest.mark.parametrize(("takes", "timed"), [(0.001, 200), (0.1, 100), (1.0, 20), (60.0, 1)])
def test_a_request_that_takes_long_is_timed_less_often(
    monkeypatch: pytest.MonkeyPatch, takes: float, timed: int
) -> None:
    now = [0.0]

    class Slow:
        def predict(self, _split: str, index: np.ndarray) -> np.ndarray:
            now[0] += takes
            return np.zeros(len(index))

    monkeypatch.setattr("mmctr_kit.cv.model_cost.time.perf_counter", lambda: now[0])
    found = latencies(Slow(), "valid", 4)  # type: ignore[arg-type]
    assert [each.requests for each in found] == [pytest.approx(timed, abs=1)] * len(CANDIDATES)
    assert found[0].p50_ms == pytest.approx(1e3 * takes)


@pytest.mark.slow
def test_memory_is_the_measuring_process_own(measured: Measured) -> None:
    assert measured.memory_of == "process"
    assert 50 < measured.memory_mb < 1024


@pytest.mark.slow
def test_a_cost_is_kept_for_the_same_run_alone(
    tiny: ChallengeData, run: Path, measured: Measured
) -> None:
    cache = run.parent / "costs" / "a.json"
    assert cached_cost(plan_here(tiny), cache) == measured
    assert cached_cost(plan_here(tiny, "model.mlp_hidden=[8]"), cache) is None
    two = replace(plan_here(tiny), resources=Resources(("cpu",), 1, 2, "CPU"))
    assert cached_cost(two, cache) is None
    assert cached_cost(plan_here(tiny), run.parent / "costs" / "b.json") is None


def test_a_request_is_one_users_history_with_many_items(tiny: ChallengeData) -> None:
    found = requests(tiny, 64)
    assert len(found) % 64 == 0
    assert len(found) >= 2 * 64
    for begin in range(0, len(found), 64):
        one = slice(begin, begin + 64)
        assert len(np.unique(found.user_id[one])) == len(np.unique(found.history[one])) == 1
        assert len(np.unique(found.item_id[one])) == 64
    test = set(zip(tiny.test.user_id.tolist(), tiny.test.history.tolist(), strict=True))
    assert set(zip(found.user_id.tolist(), found.history.tolist(), strict=True)) <= test


def test_more_candidates_than_items_are_items_again(tiny: ChallengeData) -> None:
    items = len(np.unique(tiny.test.item_id))
    assert len(np.unique(requests(tiny, items + 5).item_id)) == items


@pytest.mark.slow
def test_a_run_without_weights_is_one_line(tiny: ChallengeData, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"weights\.safetensors is not readable"):
        measure_cost(plan_here(tiny), tmp_path / "none", tmp_path / "none.json")
    assert not (tmp_path / "none.json").exists()


def test_a_killed_measurement_is_one_line_and_keeps_nothing(
    tiny: ChallengeData, run: Path, tmp_path: Path
) -> None:
    def kill() -> None:
        while not multiprocessing.active_children():
            time.sleep(0.01)
        for process in multiprocessing.active_children():
            os.kill(process.pid or 0, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(RunError, match="process that measured 'a' was killed"):
        measure_cost(plan_here(tiny), run, tmp_path / "a.json")
    killer.join()
    assert not (tmp_path / "a.json").exists()
