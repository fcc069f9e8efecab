"""What tests of bundles share: small runs of the tiny data set, on one core."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mmctr_kit
from mmctr_kit.data.contract import Task
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.runs.run import Run
from mmctr_kit.submission.bundle.write import write_bundle

SHORT = {"training.epochs": 1, "training.min_steps": 0}


@pytest.fixture(autouse=True, scope="session")
def one_core() -> Iterator[None]:
    """Small models on several threads mostly wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmctr_kit.cv.executors.local.available_cores", lambda: 1)
        yield


def item_file(data: ChallengeData, path: Path) -> Path:
    """A file for items.file, with eight of item_info's columns."""
    ids = list(range(1, data.n_items + 1))
    pq.write_table(pa.table({"item_id": ids, "vector": list(data.item_emb[1:, :8])}), path)
    return path


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny: ChallengeData) -> Path:
    """A folder with the runs ``one`` (a fit), ``four`` (2 folds, 2 seeds) and ``own`` (items)."""
    folder = tmp_path_factory.mktemp("runs")
    mmctr_kit.fit("din_demo", tiny, name="one", set=SHORT, runs=folder)
    four = SHORT | {"folds.count": 2, "seeds": [0, 1]}
    mmctr_kit.cross_validate("din_demo", tiny, name="four", set=four, jobs=1, runs=folder)
    file = item_file(tiny, folder / "own.parquet")
    reads_file = SHORT | {"items.embedding": "file", "items.file": str(file)}
    mmctr_kit.fit("din_demo", tiny, name="own", set=reads_file, runs=folder)
    return folder


def bundled(run: Path, out: Path) -> Path:
    """The bundle of a run, as Team Two would write it."""
    write_bundle(Run(run), out, Task.TASK2, "MIT", "Team Two")
    return out
