"""Run folders: whole or unfinished, never half; of one thing; and nobody else's folder."""

import fcntl
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.data.folds import user_folds
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import locked
from mmctr_kit.runs.fold_folder import FoldFolder
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.predictions import Keys, OutOfFold, Predictions
from mmctr_kit.runs.run import Run, all_runs, open_run
from mmctr_kit.runs.writer import begin_run, is_finished

MANIFEST = Manifest(
    kind="cv",
    rows="r",
    features="f",
    folds="o",
    recipe="c",
    seeds=(0, 1),
    sources=("a",),
    environment={"torch": "2.13.0", "threads": 1},
)


def keys(users: int, first: int) -> Keys:
    user = np.repeat(np.arange(first, first + users), 2)
    item = np.tile(np.array([5, 5], np.int32), users)
    return Keys(user, item, np.tile(np.array([0, 1], np.int32), users))


def made_up(folds: int = 12, users: int = 20) -> Predictions:
    rng = np.random.default_rng(0)
    train, rows = keys(users, -5), 2 * users
    label = rng.integers(0, 2, rows, dtype=np.int8)
    fold = user_folds(train.user_id, folds, 0)
    extreme = rng.normal(size=rows) * 10.0 ** rng.integers(-300, 300, rows)
    return Predictions(
        OutOfFold(train, label, fold, extreme),
        keys(users, 10_000),
        label[::-1].copy(),
        rng.normal(size=(folds, rows)),
        replace(keys(users, 2**60), item_id=rng.integers(1, 9, rows, dtype=np.int32)),
        rng.normal(size=(folds, rows)),
    )


def finished(path: Path, manifest: Manifest = MANIFEST) -> Run:
    writer = begin_run(path, manifest, "name: x\n", False)
    assert writer is not None
    return writer.finish(made_up(), {"valid": 1}, {"seconds": 2})


def assert_same(a: Predictions, b: Predictions) -> None:
    pairs = [(getattr(a, n), getattr(b, n)) for n in ("valid", "test", "valid_label")]
    for left, right in ((a.valid_keys, b.valid_keys), (a.test_keys, b.test_keys)):
        pairs += zip(vars(left).values(), vars(right).values(), strict=True)
    assert (a.oof is None) == (b.oof is None)
    if a.oof is not None and b.oof is not None:
        pairs += [(getattr(a.oof, n), getattr(b.oof, n)) for n in ("label", "fold", "logit")]
        pairs += zip(vars(a.oof.keys).values(), vars(b.oof.keys).values(), strict=True)
    for left, right in pairs:
        assert left.dtype == right.dtype
        assert left.shape == right.shape
        assert left.tobytes() == right.tobytes()


def test_predictions_come_back_bit_for_bit(tmp_path: Path) -> None:
    finished(tmp_path / "x")
    run = open_run("x", tmp_path)
    assert_same(run.predictions(), made_up())
    np.testing.assert_array_equal(run.test_scores(), made_up().test_mean())


def test_predictions_without_oof_come_back_without(tmp_path: Path) -> None:
    writer = begin_run(tmp_path / "x", MANIFEST, None, False)
    assert writer is not None
    run = writer.finish(replace(made_up(), oof=None), {}, {})
    assert_same(run.predictions(), replace(made_up(), oof=None))
    assert not (run.path / "recipe.yaml").exists()


def test_rows_shuffled_in_the_files_are_read_in_canonical_order(tmp_path: Path) -> None:
    run = finished(tmp_path / "x")
    for name in ("oof", "valid", "test"):
        path = run.path / f"{name}.parquet"
        table = pq.read_table(path)
        order = np.random.default_rng(1).permutation(len(table))
        pq.write_table(table.take(pa.array(order)), path, row_group_size=7)
    assert_same(run.predictions(), made_up())
    np.testing.assert_array_equal(run.test_scores(), made_up().test_mean())


def test_a_gap_in_the_oof_file_is_refused(tmp_path: Path) -> None:
    run = finished(tmp_path / "x")
    table = pq.read_table(run.path / "oof.parquet")
    logit = table.column("logit").to_numpy().copy()
    logit[3] = np.nan
    place = table.column_names.index("logit")
    pq.write_table(table.set_column(place, "logit", pa.array(logit)), run.path / "oof.parquet")
    with pytest.raises(RunError, match="1 OOF prediction is missing"):
        run.predictions()


def test_a_finished_run_holds_all_and_nothing_temporary(tmp_path: Path) -> None:
    run = finished(tmp_path / "x")
    names = ["DONE", "manifest.json", "metrics.json", "oof.parquet", "recipe.yaml"]
    names += ["test.parquet", "timings.json", "valid.parquet"]
    assert sorted(p.name for p in run.path.iterdir()) == names
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert (run.metrics, run.timings) == ({"valid": 1}, {"seconds": 2})
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


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("rows", "z"),
        ("features", "z"),
        ("folds", "z"),
        ("recipe", "z"),
        ("seeds", (0,)),
        ("sources", ("a", "b")),
    ],
)
@pytest.mark.parametrize("done", [True, False])
def test_a_different_run_of_that_name_is_refused_by_what_differs_and_replaced_by_force(
    tmp_path: Path, part: str, value: Any, done: bool
) -> None:
    path = tmp_path / "x"
    if done:
        finished(path)
    else:
        begin_run(path, MANIFEST, None, False)
    other = replace(MANIFEST, **{part: value})
    with pytest.raises(RunError, match=f"exists but differs in {part}; .*--force"):
        begin_run(path, other, None, False)
    assert Run(path).finished == done
    writer = begin_run(path, other, None, True)
    assert writer is not None
    assert Run(path).manifest == other
    assert [p.name for p in path.iterdir()] == ["manifest.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    ("kind", "told"), [("cv", "a cv run"), ("blend", "a blend"), ("imported", "an import")]
)
def test_a_run_of_another_kind_is_refused_as_what_it_is(
    tmp_path: Path, kind: Any, told: str
) -> None:
    begin_run(tmp_path / "x", replace(MANIFEST, kind=kind), None, False)
    other = replace(MANIFEST, kind="cv" if kind == "blend" else "blend", recipe="z")
    with pytest.raises(RunError, match=f"^run 'x' exists but is {told}; choose another --name"):
        begin_run(tmp_path / "x", other, None, False)


def test_force_makes_the_same_run_again(tmp_path: Path) -> None:
    finished(tmp_path / "x")
    assert is_finished(tmp_path / "x", MANIFEST, False)
    assert not is_finished(tmp_path / "x", MANIFEST, True)
    assert begin_run(tmp_path / "x", MANIFEST, None, True) is not None
    assert not Run(tmp_path / "x").finished


def _a_folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").touch()


def _an_empty_folder(path: Path) -> None:
    path.mkdir()


def _a_file(path: Path) -> None:
    path.write_text("mine")


def _a_folder_with_another_manifest(path: Path) -> None:
    path.mkdir()
    (path / "manifest.json").write_text('{"name": "a web app", "icons": []}')


def _a_folder_with_a_broken_manifest(path: Path) -> None:
    path.mkdir()
    (path / "manifest.json").write_bytes(b"\xff{")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        _a_folder,
        _an_empty_folder,
        _a_file,
        _a_folder_with_another_manifest,
        _a_folder_with_a_broken_manifest,
    ],
)
def test_what_is_no_run_is_never_replaced(
    tmp_path: Path, make: Callable[[Path], None], force: bool
) -> None:
    path = tmp_path / "x"
    make(path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError, match="x") as caught:
        begin_run(path, MANIFEST, None, force)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unfinished_run_goes_on_with_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "x"
    writer = begin_run(path, MANIFEST, None, False)
    assert writer is not None
    writer.fold(0, 1).finish({"w": np.ones(2)}, {"oof": np.zeros(3)}, 1.5)
    again = begin_run(path, MANIFEST, None, False)
    assert again is not None
    assert again.fold(0, 1).finished
    assert not again.fold(1, 1).finished


def test_an_unfinished_run_is_not_finished_elsewhere(tmp_path: Path) -> None:
    begin_run(tmp_path / "x", MANIFEST, None, False)
    elsewhere = replace(MANIFEST, environment={"torch": "2.13.0", "threads": 4})
    with pytest.raises(RunError, match=r"begun elsewhere \(threads 1 -> 4\)"):
        begin_run(tmp_path / "x", elsewhere, None, False)


def test_only_a_finished_run_opens(tmp_path: Path) -> None:
    begin_run(tmp_path / "half", MANIFEST, None, False)
    with pytest.raises(RunError, match="run 'half' is unfinished"):
        open_run("half", tmp_path)
    finished(tmp_path / "whole")
    assert open_run("whole", tmp_path).name == "whole"
    assert open_run(str(tmp_path / "whole"), tmp_path / "elsewhere").name == "whole"
    with pytest.raises(UsageError, match=r"no run 'whle' \(did you mean whole\?\) under "):
        open_run("whle", tmp_path)
    with pytest.raises(UsageError, match=r"no run 'x' under .*; runs there: half, whole"):
        open_run("x", tmp_path)
    with pytest.raises(UsageError, match="runs there: none"):
        open_run("x", tmp_path / "absent")


def test_runs_are_listed_by_name_without_what_a_kill_left_behind(tmp_path: Path) -> None:
    for name in ("b", "a"):
        finished(tmp_path / name)
    (tmp_path / "a").rename(tmp_path / ".a-x1y2")
    (tmp_path / "notes").mkdir()
    with locked(tmp_path / "b"):
        assert [r.name for r in all_runs(tmp_path)] == ["b"]


def test_a_manifest_of_another_kind_is_one_line(tmp_path: Path) -> None:
    _a_folder_with_another_manifest(tmp_path / "x")
    with pytest.raises(RunError, match="is no manifest of this version") as caught:
        _ = Run(tmp_path / "x").manifest
    assert "\n" not in str(caught.value)


HOLD = """
import sys
from pathlib import Path
from mmctr_kit.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_that_another_process_writes_is_refused_until_it_ends(tmp_path: Path) -> None:
    mine, other = tmp_path / "runs" / "x", tmp_path / "runs" / "y"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(mine)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(RunError, match="'x' is being written by another"), locked(mine):
            pass
        with locked(other):
            pass
        process.communicate()
    assert process.returncode == 0
    with locked(mine):
        pass


def test_the_lock_is_let_go_where_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="boom"), locked(tmp_path / "x"):
        raise ValueError("boom")
    with (tmp_path / ".locks" / "x").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_runs_folder_that_cannot_be_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    with pytest.raises(UsageError, match="choose another --runs"), locked(tmp_path / "runs" / "x"):
        pass


def test_a_fold_keeps_its_state_until_it_is_finished(tmp_path: Path) -> None:
    fold = FoldFolder(tmp_path / "folds" / "0-1")
    assert fold.left_off() == ([], None, {})
    assert not fold.finished
    state = {"w": np.array([0.1, 0.2], np.float32), "epochs_done": np.array(1)}
    fold.save_epoch([{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}], state, {"train": 7.5})
    lines, kept, seconds = fold.left_off()
    # The second epoch's line was written, its state was not: it is to be done again.
    assert lines == [{"epoch": 1, "loss": 0.5}]
    assert seconds == {"train": 7.5}
    assert kept is not None
    assert kept["w"].tobytes() == state["w"].tobytes()
    assert int(kept["epochs_done"]) == 1
    logits = {n: np.random.default_rng(0).normal(size=4) for n in ("oof", "valid", "test")}
    fold.finish({"w": np.ones(3)}, logits, {"train": 1.25})
    assert fold.finished
    assert fold.left_off() == ([], None, {})
    assert {n: a.tobytes() for n, a in fold.logits().items()} == {
        n: a.tobytes() for n, a in logits.items()
    }
    assert fold.weights()["w"].tolist() == [1, 1, 1]
    assert fold.timings() == {"train": 1.25}
    names = ["logits.safetensors", "metrics.jsonl", "timings.json", "weights.safetensors"]
    assert sorted(p.name for p in fold.path.iterdir()) == names


def test_a_state_left_by_a_kill_after_the_logits_is_removed(tmp_path: Path) -> None:
    fold = FoldFolder(tmp_path / "0-0")
    fold.finish({"w": np.ones(1)}, {"oof": np.ones(1)}, {})
    fold.save_epoch([], {"w": np.ones(1), "epochs_done": np.array(0)}, {})
    fold.logits()
    assert fold.left_off() == ([], None, {})


def test_a_manifest_survives_json() -> None:
    content = json.loads(json.dumps(vars(MANIFEST)))
    assert Manifest.from_json(content) == MANIFEST
    assert MANIFEST.differences(replace(MANIFEST, environment={})) == []
    assert MANIFEST.differences(replace(MANIFEST, rows="z", seeds=())) == ["rows", "seeds"]


def test_half_a_file_that_a_kill_left_goes_when_the_fold_goes_on(tmp_path: Path) -> None:
    folder = FoldFolder(tmp_path / "0-0")
    assert folder.left_off() == ([], None, {})
    folder.save_epoch([{"epoch": 1}], {"epochs_done": np.array(1)}, {"train": 1.0})
    (folder.path / ".tmpX4f9").write_bytes(b"half a state")
    lines, state, seconds = folder.left_off()
    assert (lines, seconds) == ([{"epoch": 1}], {"train": 1.0})
    assert state is not None
    assert not list(folder.path.glob(".*"))


RECIPE = "name: x\nitems:\n  embedding: file\n  file: {file}\ntraining:\n  epochs: {epochs}\n"


def refused(path: Path, recipe_yaml: str) -> str:
    with pytest.raises(RunError) as caught:
        begin_run(path, replace(MANIFEST, recipe="other"), recipe_yaml, False)
    return str(caught.value)


def test_another_recipe_is_refused_by_the_settings_that_differ(tmp_path: Path) -> None:
    begin_run(tmp_path / "x", MANIFEST, RECIPE.format(file="a", epochs=5), False)
    told = refused(tmp_path / "x", RECIPE.format(file="b", epochs=3))
    assert "differs in recipe (training.epochs: 5 there, 3 now); choose another --name" in told


def test_equal_settings_of_another_fingerprint_are_another_versions(tmp_path: Path) -> None:
    """An item file counts by its content, so that where it lies is no difference."""
    begin_run(tmp_path / "x", MANIFEST, RECIPE.format(file="a", epochs=5), False)
    told = refused(tmp_path / "x", RECIPE.format(file="b", epochs=5))
    assert "(not its settings: another version of mmctr-kit)" in told


@pytest.mark.parametrize("damaged", ["", "a: [", "- 1", "name: x\n"])
def test_a_damaged_recipe_names_no_setting(tmp_path: Path, damaged: str) -> None:
    begin_run(tmp_path / "x", MANIFEST, damaged, False)
    assert "differs in recipe; choose" in refused(tmp_path / "x", RECIPE.format(file="a", epochs=5))
