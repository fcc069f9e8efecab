"""A run folder is written whole, once, and can be resumed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.runs.writer import begin_run
from tests.files.power_cut import Disk
from tests.runs.test_run import MANIFEST, METRICS, finished


def test_a_finished_run_holds_all_and_nothing_temporary(tmp_path: Path) -> None:
    run = finished(tmp_path / "x")
    names = ["DONE", "manifest.json", "metrics.json", "oof.parquet", "recipe.yaml"]
    names += ["test.parquet", "timings.json", "valid.parquet"]
    assert sorted(p.name for p in run.path.iterdir()) == names
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert run.metrics == METRICS
    assert {**run.timings, "lineage": None} == {"lineage": None, "seconds": 2}
    assert run.manifest == MANIFEST
    assert (run.path / "recipe.yaml").read_text() == "name: x\n"
    assert run.path.stat().st_mode & 0o777 == 0o755


def test_the_same_finished_run_is_left_alone(tmp_path: Path) -> None:
    finished(tmp_path / "x")
    before = (tmp_path / "x" / "DONE").stat()
    assert begin_run(tmp_path / "x", MANIFEST, "name: x\n", False) is None
    elsewhere = replace(MANIFEST, environment={"torch": "2.12.0", "threads": 4})
    assert begin_run(tmp_path / "x", elsewhere, "name: x\n", False) is None
    assert (tmp_path / "x" / "DONE").stat() == before


def test_an_unfinished_run_goes_on_with_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "x"
    writer = begin_run(path, MANIFEST, None, False)
    assert writer is not None
    writer.fold(0, 1).finish({"w": np.ones(2)}, {"oof": np.zeros(3)}, {})
    again = begin_run(path, MANIFEST, None, False)
    assert again is not None
    assert again.fold(0, 1).finished
    assert not again.fold(1, 1).finished


def test_after_a_power_cut_a_run_that_is_done_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Disk(tmp_path, monkeypatch) as disk:
        finished(tmp_path / "x")
    whole = disk.now()[1]
    assert {name for name in whole if name.endswith(".parquet")} != set()
    done = [cut for cut in disk.cuts if "x/DONE" in cut]
    assert done
    for cut in done:
        assert {k: v for k, v in cut.items() if "writing" not in k} == whole
    # What is there before is the manifest, or all of the run's own files but DONE.
    begun = [cut for cut in disk.cuts if any(name.startswith("x/") for name in cut)]
    assert all("x/manifest.json" in cut and "x/recipe.yaml" in cut for cut in begun)
