"""mmctr_kit.runs.fold_folder: a fold model's state, then its weights and logits."""

from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.errors import RunError
from mmctr_kit.runs.fold_folder import FoldFolder
from tests.files.left import left_behind
from tests.files.power_cut import Disk


def test_a_fold_keeps_its_state_until_it_is_finished(tmp_path: Path) -> None:
    fold = FoldFolder(tmp_path / "folds" / "0-1")
    assert fold.saved_state() == ([], None, {})
    assert not fold.finished
    state = {"w": np.array([0.1, 0.2], np.float32), "epochs_done": np.array(1)}
    fold.save_epoch(
        [{"epoch": 1, "loss": 0.5, "holdout_auc": None}, {"epoch": 2, "loss": 0.25}],
        state,
        {"train": 7.5},
    )
    lines, stored, seconds = fold.saved_state()
    # The second epoch's line was written, its state was not: it is to be done again.
    assert lines == [{"epoch": 1, "loss": 0.5, "holdout_auc": None}]
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
    names = ["DONE", "logits.safetensors", "metrics.jsonl", "timings.json", "weights.safetensors"]
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
    state = {"w": np.ones(1), "epochs_done": np.array(0)}
    fold.save_epoch([], state, {})
    left = (fold.path / "state.safetensors").read_bytes()
    fold.finish({"w": np.ones(1)}, {"oof": np.ones(1)}, {})
    (fold.path / "state.safetensors").write_bytes(left)
    fold.logits()
    assert fold.saved_state() == ([], None, {})


@pytest.mark.parametrize("name", ["logits", "weights"])
def test_a_finished_fold_whose_file_was_changed_is_named(tmp_path: Path, name: str) -> None:
    fold = FoldFolder(tmp_path / "folds" / "0-0")
    fold.finish({"w": np.ones(3)}, {"oof": np.zeros(4)}, {})
    fold.require_intact()
    path = fold.path / f"{name}.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    said = f"{name}.safetensors was changed since it was written; .*, or delete {fold.path} and"
    with pytest.raises(RunError, match=said):
        fold.require_intact()
    with pytest.raises(RunError, match=said):
        getattr(fold, name)()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("state.safetensors", np.float64(0.25).tobytes(), np.float64(0.75).tobytes()),
        ("metrics.jsonl", b"0.5", b"0.7"),
        ("metrics.jsonl", b'{"epoch": 1, "loss": 0.5, "holdout_auc": null}\n', b""),
    ],
)
def test_a_model_does_not_go_on_from_a_state_that_was_changed(
    tmp_path: Path, name: str, old: bytes, new: bytes
) -> None:
    fold = FoldFolder(tmp_path / "0-0")
    state = {"w": np.array([0.25, 1.0]), "epochs_done": np.array(1)}
    fold.save_epoch([{"epoch": 1, "loss": 0.5, "holdout_auc": None}, {"loss": 0.4}], state, {})
    assert fold.saved_state()[0] == [{"epoch": 1, "loss": 0.5, "holdout_auc": None}]
    path = fold.path / name
    assert path.read_bytes().count(old) == 1
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(RunError, match="was changed since the last epoch; delete"):
        fold.saved_state()


def test_half_a_file_that_a_kill_left_goes_when_the_fold_goes_on(tmp_path: Path) -> None:
    folder = FoldFolder(tmp_path / "0-0")
    assert folder.saved_state() == ([], None, {})
    folder.save_epoch(
        [{"epoch": 1, "holdout_auc": None}], {"epochs_done": np.array(1)}, {"train": 1.0}
    )
    (left_behind(folder.path) / "state.safetensors").write_bytes(b"half a state")
    lines, state, seconds = folder.saved_state()
    assert (lines, seconds) == ([{"epoch": 1, "holdout_auc": None}], {"train": 1.0})
    assert state is not None
    assert not list(folder.path.glob(".*"))


def test_after_a_power_cut_a_fold_goes_on_from_its_last_epoch_or_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "folds"
    root.mkdir()
    lines = [{"epoch": n, "holdout_auc": None} for n in (1, 2, 3)]
    reached = []
    with Disk(root, monkeypatch) as disk:
        for n in (1, 2, 3):
            state = {"epochs_done": np.array(n), "weights": np.full(9, n)}
            FoldFolder(root / "0-0").save_epoch(lines[:n], state, {"train": float(n)})
            reached.append(len(disk.cuts))
    for number, cut in enumerate({tuple(sorted(cut.items())): cut for cut in disk.cuts}.values()):
        restored = tmp_path / str(number)
        for name, content in cut.items():
            path = restored / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        found, state, _ = FoldFolder(restored / "0-0").saved_state()
        done = 0 if state is None else int(state["epochs_done"])
        assert found == lines[:done]
        assert state is None or (state["weights"] == done).all()
        last = sum(disk.cuts.index(cut) >= first for first in reached)
        assert done in (last, last + 1)
