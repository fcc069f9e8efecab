"""mmctr_kit.bench.doctor: what each thing that is found means for a run."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mmctr_kit.audit.findings import Finding, Level, Log
from mmctr_kit.bench import doctor
from mmctr_kit.bench.doctor import CHECKS, Card
from mmctr_kit.errors import GpuFailureError, RunError

GB = 10**9
H100 = Card("cuda:0", "H100", (9, 0), 80 * GB, 79 * GB, True, "")
T4 = Card("cuda:1", "T4", (7, 5), 16 * GB, 3 * GB, False, "")
P100 = Card("cuda:0", "P100", (6, 0), 16 * GB, 16 * GB, False, "no kernels for P100; pip install X")
SMALL = Card("cuda:0", "MX", (8, 6), 2 * GB, 2 * GB, True, "")


def told(check: Callable[[Log], object]) -> dict[str, Finding]:
    """The findings by check; of several, the last."""
    log = Log(CHECKS)
    check(log)
    return {finding.id: finding for finding in log.findings()}


def test_a_library_that_is_missing_fails_and_triton_may_be() -> None:
    everything = {"torch": "2.13.0", "triton": None}
    found = told(lambda log: doctor.check_versions(everything, log))["versions"]
    assert found.level is Level.PASS
    assert "torch 2.13.0" in found.what
    assert "triton" not in found.what
    lacking = told(lambda log: doctor.check_versions({"pandas": None}, log))["versions"]
    assert (lacking.level, lacking.todo) == (Level.FAIL, "pip install pandas")


def test_threads_that_are_limited_and_little_memory_are_warned_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    found = told(lambda log: doctor.check_machine(8, 16, GB, log))
    assert found["cores"].what.startswith("8 cores of 16")
    assert "OMP_NUM_THREADS=2 keeps a model to 2 threads" in found["cores"].what
    assert [found[name].level for name in ("cores", "memory")] == [Level.WARN] * 2
    monkeypatch.setenv("OMP_NUM_THREADS", "")
    found = told(lambda log: doctor.check_machine(8, 8, 64 * GB, log))
    assert [found[name].level for name in ("cores", "memory")] == [Level.PASS] * 2
    assert told(lambda log: doctor.check_machine(1, 1, None, log))["memory"].level is Level.SKIP


@pytest.mark.parametrize(
    ("card", "levels", "words"),
    [
        (H100, "PASS PASS PASS", "79.0 of 80.0 GB"),
        (T4, "PASS WARN PASS", "float32"),
        (SMALL, "PASS WARN PASS", "2.0 of 2.0 GB"),
        (P100, "WARN - -", "cuda:0 is left out: no kernels for P100"),
    ],
)
def test_what_a_card_means_for_a_run(card: Card, levels: str, words: str) -> None:
    found = told(lambda log: doctor.check_cards([card], "", log))
    for name, level in zip(("gpu", "gpu-memory", "gpu-precision"), levels.split(), strict=True):
        assert (found[name].level if name in found else "-") == level
    assert any(words in each.what for each in found.values())
    if card is P100:
        assert found["gpu"].todo == "pip install X"


def test_a_card_too_full_to_be_asked_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: str) -> tuple[int, int]:
        raise torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be")

    of = SimpleNamespace(name="H100", major=9, minor=0, total_memory=80 * GB)
    monkeypatch.setattr(doctor, "gpu_gaps", lambda: {"cuda:0": ""})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: of)
    monkeypatch.setattr(torch.cuda, "mem_get_info", full)
    [card] = doctor.find_cards()
    found = told(lambda log: doctor.check_cards([card], "", log))["gpu"]
    assert found.what == "cuda:0 is left out: it cannot be used now (CUDA error: out of memory)"
    assert found.todo.startswith("end the other processes on it")


def test_no_gpu_is_no_problem_unless_a_driver_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(doctor, "driver_cuda", lambda: None)
    found = told(lambda log: doctor.check_cards([], "", log))
    assert {each.level for each in found.values()} == {Level.SKIP}
    monkeypatch.setattr(doctor, "driver_cuda", lambda: (13, 0))
    assert "is for CPUs" in told(lambda log: doctor.check_cards([], "", log))["gpu"].what
    old = told(lambda log: doctor.check_cards([], "the NVIDIA driver is too old", log))["gpu"]
    assert (old.level, old.what) == (Level.WARN, "no GPU is used: the NVIDIA driver is too old")


def test_a_compiler_that_is_missing_is_named_with_its_package() -> None:
    found = told(lambda log: doctor.check_triton("there is no C compiler", log))["triton"]
    assert found.level is Level.WARN
    assert "apt install gcc python3-dev" in found.todo
    assert told(lambda log: doctor.check_triton("", log))["triton"].level is Level.PASS


@pytest.mark.parametrize(
    ("free", "level"), [(50 * GB, Level.PASS), (2 * GB, Level.WARN), (10**7, Level.FAIL)]
)
def test_a_disk_with_little_room_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: Level
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    found = told(lambda log: doctor.check_folders(tmp_path / "not" / "yet" / "runs", log))
    assert found["disk"].level is level
    assert found["cache"].level is found["locks"].level is Level.PASS
    assert list(tmp_path.iterdir()) == []


def test_a_folder_where_locks_keep_nobody_out_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "is_locked", lambda _: False)
    assert told(lambda log: doctor.check_folders(tmp_path, log))["locks"].level is Level.FAIL


def test_a_cache_that_cannot_be_written_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MMCTR_KIT_CACHE", str(tmp_path / "file"))
    found = told(lambda log: doctor.check_folders(tmp_path, log))["cache"]
    assert (found.level, "MMCTR_KIT_CACHE" in found.todo) == (Level.FAIL, True)


def trained(monkeypatch: pytest.MonkeyPatch, on_gpu: list[float] | Exception) -> Finding:
    def short(_root: Path, device: str, _threads: int) -> list[float]:
        if device == "cpu":
            return [0.7, 0.6]
        if isinstance(on_gpu, Exception):
            raise on_gpu
        return on_gpu

    monkeypatch.setattr(doctor, "short_training", short)
    return told(lambda log: doctor.check_training(["cpu", "cuda:0"], log))["self-test"]


def test_every_device_must_train_as_the_cpu_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trained(monkeypatch, [0.7, 0.6]).level is Level.PASS
    wrong = trained(monkeypatch, [0.8, 0.6])
    assert wrong.level is Level.FAIL
    assert wrong.what.startswith("cuda:0 computes wrongly: the loss of step 1 is 0.800000")


@pytest.mark.parametrize(
    "error",
    [
        GpuFailureError("the GPU failed"),
        RunError("it was killed: the GPU failed"),
        RuntimeError("a worker process failed:\nTraceback\nValueError: the GPU failed"),
    ],
)
def test_a_device_that_fails_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    found = trained(monkeypatch, error)
    assert found.level is Level.FAIL
    assert found.what.startswith("cuda:0: training fails: ")
    assert found.what.endswith("the GPU failed")


def test_every_check_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "short_training", lambda *_: [0.7, 0.6])
    found = doctor.diagnose(tmp_path)
    assert [each.id for each in found] == list(CHECKS)
    skipped = {each.id: each.level for each in doctor.diagnose(tmp_path, self_test=False)}
    assert skipped["self-test"] is Level.SKIP
