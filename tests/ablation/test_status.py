"""An ablation's line in the list: how far it is, and its base's scores."""

from pathlib import Path

import pytest

from mmctr_kit.ablation.status import BASE, TABLE, ablation_row, all_ablations
from mmctr_kit.files import locked, write_json
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.lineage import begin_lineage, note_begun, note_finished
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.writer import begin_run
from tests.runs.test_run import METRICS, made_up

VALID = Estimate(0.75, 0.01, 40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An ablation of three runs: the base is finished, a variant is begun."""
    path = tmp_path / "x.ablate"
    path.mkdir()
    note_begun(path, begin_lineage(None, "CPU", 3))
    manifest = Manifest("cv", "r", "f", "o", "c", seeds=(0,))
    base = begin_run(path / BASE, manifest, "folds: {count: 3}\n", False)
    assert base is not None
    base.finish(made_up(), {**METRICS, "valid": VALID.to_json()}, {})
    begin_run(path / "se-off", manifest, "folds: {count: 3}\n", False)
    return path


def test_an_unfinished_ablation_says_which_run_it_is_in(folder: Path) -> None:
    row = ablation_row(folder)
    assert (row.name, row.kind, row.state, row.valid) == (
        "x.ablate",
        "ablation",
        "unfinished",
        VALID,
    )
    assert (row.progress, row.alive) == ("run 2/3 se-off: fold 1/3", False)
    with locked(folder):
        assert ablation_row(folder).alive


def test_a_finished_one_counts_its_variants(folder: Path) -> None:
    write_json(folder / TABLE, {"rows": [{"name": BASE}, {"name": "se-off"}]})
    note_finished(folder, (TABLE,), ())
    row = ablation_row(folder)
    assert (row.state, row.progress) == ("", "1 variant")
    (folder / TABLE).write_text("no json")
    row = ablation_row(folder)
    assert row.state == "unreadable"
    assert "ablation.json was changed since it was written; put it back" in row.progress


def test_a_finished_one_whose_base_has_lost_its_seal_says_so(folder: Path) -> None:
    write_json(folder / TABLE, {"rows": [{"name": BASE}, {"name": "se-off"}]})
    note_finished(folder, (TABLE,), ())
    (folder / BASE / "DONE").unlink()
    row = ablation_row(folder)
    assert (row.state, row.valid) == ("unreadable", None)
    assert row.progress.startswith("run 'base' of the finished 'x.ablate' is unfinished; ")


def test_one_of_an_earlier_version_is_over_if_it_has_its_table(folder: Path) -> None:
    (folder / "timings.json").unlink()
    assert ablation_row(folder).progress == "run 2 se-off: fold 1/3"
    write_json(folder / TABLE, {"rows": [{}, {}, {}]})
    assert ablation_row(folder).progress == "2 variants"


def test_only_ablations_are_listed(folder: Path) -> None:
    root = folder.parent
    begin_run(root / "run.ablate", Manifest("cv", "r", "f", "o", "c"), None, False)
    (root / "empty.ablate").mkdir()
    (root / ".removed.ablate" / BASE).mkdir(parents=True)
    assert all_ablations(root) == [folder]
