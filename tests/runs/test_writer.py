"""A run folder is written whole, once, and can be resumed."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mmctr_kit.runs.writer import begin_run
from tests.runs.test_run import MANIFEST, finished


def test_a_finished_run_holds_all_and_nothing_temporary(tmp_path: Path) -> None:
    run = finished(tmp_path / "x")
    names = ["DONE", "manifest.json", "metrics.json", "oof.parquet", "recipe.yaml"]
    names += ["test.parquet", "timings.json", "valid.parquet"]
    assert sorted(p.name for p in run.path.iterdir()) == names
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert run.metrics == {"valid": 1}
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
