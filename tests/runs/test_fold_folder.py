"""mmctr_kit.runs.fold_folder: a fold model's state, then its weights and logits."""

from pathlib import Path

import numpy as np

from mmctr_kit.runs.fold_folder import FoldFolder
from tests.files.left import left_behind


def test_a_fold_keeps_its_state_until_it_is_finished(tmp_path: Path) -> None:
    fold = FoldFolder(tmp_path / "folds" / "0-1")
    assert fold.saved_state() == ([], None, {})
    assert not fold.finished
    state = {"w": np.array([0.1, 0.2], np.float32), "epochs_done": np.array(1)}
    fold.save_epoch([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}], state, {"train": 7.5})
    lines, stored, seconds = fold.saved_state()
    # The second epoch's line was written, its state was not: it is to be done again.
    assert lines == [{"epoch": 1, "loss": 0.5}]
    assert seconds == {"train": 7.5}
    assert stored is not None
    assert stored["w"].tobytes() == state["w"].tobytes()
    assert int(stored["epochs_done"]) == 1
    logits = {n: np.random.default_rng(0).normal(size=4) for n in ("oof", "valid", "test")}
    fold.finish({"w": np.ones(3)}, logits, {"train": 1.25})
    assert fold.finished
    assert fold.saved_state() == ([], None, {})
    assert {n: a.tobytes() for n, a in fold.logits().items()} == {
        n: a.tobytes() for n, a in logits.items()
    }
    assert fold.weights()["w"].tolist() == [1, 1, 1]
    assert fold.timings() == {"train": 1.25}
    names = ["logits.safetensors", "metrics.jsonl", "timings.json", "weights.safetensors"]
    assert sorted(p.name for p in fold.path.iterdir()) == names


def test_what_a_run_needs_for_its_importance_is_there_until_it_is_dropped(tmp_path: Path) -> None:
    fold = FoldFolder(tmp_path / "0-0")
    assert fold.importance() is None
    fold.save_importance({"gain": np.array([1.0, 2.0])})
    stored = fold.importance()
    assert stored is not None
    assert stored["gain"].tolist() == [1, 2]
    for _ in range(2):
        fold.drop_importance()
        assert fold.importance() is None


def test_a_state_left_by_a_kill_after_the_logits_is_removed(tmp_path: Path) -> None:
    fold = FoldFolder(tmp_path / "0-0")
    fold.finish({"w": np.ones(1)}, {"oof": np.ones(1)}, {})
    fold.save_epoch([], {"w": np.ones(1), "epochs_done": np.array(0)}, {})
    fold.logits()
    assert fold.saved_state() == ([], None, {})


def test_half_a_file_that_a_kill_left_goes_when_the_fold_goes_on(tmp_path: Path) -> None:
    folder = FoldFolder(tmp_path / "0-0")
    assert folder.saved_state() == ([], None, {})
    folder.save_epoch([{"epoch": 1}], {"epochs_done": np.array(1)}, {"train": 1.0})
    (left_behind(folder.path) / "state.safetensors").write_bytes(b"half a state")
    lines, state, seconds = folder.saved_state()
    assert (lines, seconds) == ([{"epoch": 1}], {"train": 1.0})
    assert state is not None
    assert not list(folder.path.glob(".*"))
