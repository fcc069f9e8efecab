"""Fixtures that many test files share: a cache of their own and the generated tiny data set."""

import gc
import os

# Before torch is imported: threads of tests that run side by side would wait on each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load
from mmctr_kit.datasets.synth import PRESETS, generate

# What is imported to collect the tests stays: to look through it for garbage takes seconds.
gc.disable()

# What an example takes tells of the machine, which other work may keep busy.
settings.register_profile("kit", deadline=None, max_examples=50)
settings.load_profile("kit")

if threading.current_thread() is threading.main_thread():
    # A shell's background job ignores Ctrl-C, and so would the commands that tests send it to.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's cache."""
    before = os.environ.get("MMCTR_KIT_CACHE")
    os.environ["MMCTR_KIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["MMCTR_KIT_CACHE"]
    else:
        os.environ["MMCTR_KIT_CACHE"] = before


@pytest.fixture(scope="session", autouse=True)
def own_ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test records a submission in the ledger of the folder it runs in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMCTR_KIT_LEDGER", str(tmp_path_factory.mktemp("ledger") / "ledger.jsonl"))
        yield


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data/ and truth/ of the generated tiny data set, seed 0. Read only."""
    root = tmp_path_factory.mktemp("tiny") / "world"
    generate(root, PRESETS["tiny"], seed=0)
    return root


@pytest.fixture(scope="session")
def tiny(tiny_root: Path) -> ChallengeData:
    """The tiny data set, loaded."""
    return load(tiny_root / "data")


@pytest.fixture(scope="session")
def timed_root(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny data folder with times; valid and test come after train. Read only."""
    from tests.data.timed import timed_copy

    return timed_copy(tiny_root / "data", tmp_path_factory.mktemp("timed") / "data")


@pytest.fixture(scope="session")
def timed(timed_root: Path) -> ChallengeData:
    """The tiny data set with times, loaded."""
    return load(timed_root)


@pytest.fixture(scope="session")
def spoilt_items(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of 2,000 items with covers and 10 % of them bad. Read only."""
    from tests.embed.quality.made import catalogue

    return catalogue(tmp_path_factory.getbasetemp(), 0.1)


SMALL_ALIGNMENT = {
    "BATCH": 128,
    "HIDDEN": 16,
    "COMPONENTS": 32,
    "STEPS": (80, 80),
    "LEARNING_RATE": 0.01,
    "WARMUP": 5,
}


@pytest.fixture
def small_alignment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Content is aligned by a narrow network in few and large steps on few pairs each."""
    for name, value in SMALL_ALIGNMENT.items():
        monkeypatch.setattr(f"mmctr_kit.embed.contrast._{name}", value)


def pytest_collection_finish() -> None:
    """From here on there may be garbage."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked ``cuda`` are skipped, visibly, where torch sees no GPU."""
    # Tests of the contract suite are marked here: packages use it that do not know these marks.
    for item in items:
        if item.name.startswith("test_cpu_and_gpu_agree"):
            item.add_marker(pytest.mark.cuda)
        if item.name.startswith("test_compiled_and_eager_agree"):
            item.add_marker(pytest.mark.slow)
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="no GPU here"))
