"""How far a run is: read from its folder, whatever a kill left of it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.errors import RunError
from mmctr_kit.runs.fold_folder import FoldFolder
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.progress import fold_states, progress_text
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.writer import RunWriter, begin_run

MANIFEST = Manifest("cv", "r", "f", "o", "c", seeds=(0,))


def line(epoch: int, auc: float | None) -> dict[str, object]:
    return {"epoch": epoch, "holdout_auc": auc, "train_loss": 0.5, "best": True}


def trained(folder: FoldFolder, aucs: list[float | None], of: int) -> None:
    lines = [line(i, auc) for i, auc in enumerate(aucs, 1)]
    timings = {"train": 2.0, "load": 1.0, "epochs": of}
    folder.save_epoch(lines, {"epochs_done": np.array(len(lines))}, timings)


def begun(path: Path, seeds: tuple[int, ...] = (0,), kind: str = "cv") -> RunWriter:
    manifest = replace(MANIFEST, seeds=seeds, kind=kind)
    writer = begin_run(path, manifest, "folds:\n  count: 3\n", False)
    assert writer is not None
    return writer


def text_of(path: Path) -> str:
    return progress_text(fold_states(Run(path)))


def test_a_run_says_which_fold_and_epoch_it_is_in(tmp_path: Path) -> None:
    writer = begun(tmp_path / "x")
    assert text_of(tmp_path / "x") == "fold 1/3"
    trained(writer.fold(0, 0), [0.5, 0.7, 0.6], 10)
    assert text_of(tmp_path / "x") == "fold 1/3, epoch 3/10"
    writer.fold(0, 0).finish({"w": np.ones(1)}, {"oof": np.ones(1)}, {"train": 4.0})
    assert text_of(tmp_path / "x") == "fold 2/3"
    states = fold_states(Run(tmp_path / "x"))
    assert [state.name for state in states] == ["0-0", "1-0", "2-0"]
    first, second, _ = states
    assert (first.finished, first.epoch, first.epochs, first.seconds) == (True, 3, 3, 4.0)
    assert (first.best_epoch, first.holdout_auc) == (2, 0.7)
    assert (second.finished, second.epoch, second.best_epoch, second.seconds) == (
        False,
        0,
        None,
        None,
    )


def test_fold_models_in_parallel_and_of_several_seeds(tmp_path: Path) -> None:
    writer = begun(tmp_path / "x", seeds=(0, 1))
    trained(writer.fold(0, 0), [0.5], 4)
    trained(writer.fold(0, 1), [0.5, 0.6, 0.7], 4)
    assert text_of(tmp_path / "x") == "models 1-2/6, epochs 1-3/4"


def test_a_single_fit_has_no_folds_and_perhaps_no_holdout(tmp_path: Path) -> None:
    writer = begun(tmp_path / "x", kind="fit")
    assert text_of(tmp_path / "x") == "epoch 0"
    trained(writer.fold(-1, 0), [None, None], 5)
    assert text_of(tmp_path / "x") == "epoch 2/5"
    (state,) = fold_states(Run(tmp_path / "x"))
    assert (state.name, state.best_epoch) == ("all-0", None)


def test_all_folds_are_there_but_the_run_is_not_assembled(tmp_path: Path) -> None:
    writer = begun(tmp_path / "x")
    for fold in range(3):
        writer.fold(fold, 0).finish({"w": np.ones(1)}, {"oof": np.ones(1)}, {})
    assert text_of(tmp_path / "x") == "3/3 folds, not yet assembled"


@pytest.mark.parametrize("kind", ["blend", "imported"])
def test_what_trains_nothing_has_no_progress(tmp_path: Path, kind: str) -> None:
    begun(tmp_path / "x", kind=kind)
    assert text_of(tmp_path / "x") == ""


def test_epochs_of_an_earlier_version_are_shown_without_their_number(tmp_path: Path) -> None:
    folder = begun(tmp_path / "x").fold(0, 0)
    trained(folder, [0.5], 9)
    timings = json.loads((folder.path / "timings.json").read_text())
    del timings["epochs"], timings["check"]
    (folder.path / "timings.json").write_text(json.dumps(timings))
    assert text_of(tmp_path / "x") == "fold 1/3, epoch 1"


def test_a_recipe_without_folds_is_one_line(tmp_path: Path) -> None:
    begin_run(tmp_path / "x", MANIFEST, "folds: 3\n", False)
    with pytest.raises(RunError, match=r"x has no folds in its recipe.yaml; copy the run again"):
        fold_states(Run(tmp_path / "x"))
