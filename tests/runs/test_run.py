"""Run folders: whole or unfinished, never half; of one thing; and nobody else's folder."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmctr_kit.data.folds import user_folds
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import locked
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.predictions import Keys, OutOfFold, Predictions
from mmctr_kit.runs.run import Run, all_runs, open_run
from mmctr_kit.runs.writer import begin_run
from tests.runs.unsealed import unsealed

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


METRICS = {"valid": None, "alarm": None, "test_tied_share": 0.0}


def keys(users: int, first: int) -> Keys:
    user = np.repeat(np.arange(first, first + users), 2)
    item = np.tile(np.array([5, 5], np.int32), users)
    return Keys(user, item, np.tile(np.array([0, 1], np.int32), users))


def made_up(folds: int = 12, users: int = 20) -> Predictions:
    rng = np.random.default_rng(0)
    train, rows = keys(users, -5), 2 * users
    label = rng.integers(0, 2, rows, dtype=np.int8)
    fold = user_folds(train.user_id, folds, 0)
    extreme = rng.normal(size=rows) * 10.0 ** rng.integers(-300, 98, rows)
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
    return writer.finish(made_up(), METRICS, {"seconds": 2})


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
    unsealed(run.path)
    for name in ("oof", "valid", "test"):
        path = run.path / f"{name}.parquet"
        table = pq.read_table(path)
        order = np.random.default_rng(1).permutation(len(table))
        pq.write_table(table.take(pa.array(order)), path, row_group_size=7)
    assert_same(run.predictions(), made_up())
    np.testing.assert_array_equal(run.test_scores(), made_up().test_mean())


def test_a_gap_in_the_oof_file_is_refused(tmp_path: Path) -> None:
    run = finished(tmp_path / "x")
    unsealed(run.path)
    table = pq.read_table(run.path / "oof.parquet")
    logit = table.column("logit").to_numpy().copy()
    logit[3] = np.nan
    place = table.column_names.index("logit")
    pq.write_table(table.set_column(place, "logit", pa.array(logit)), run.path / "oof.parquet")
    with pytest.raises(RunError, match="1 OOF prediction is missing"):
        run.predictions()


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
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="runs there: none"):
        open_run("x", tmp_path / "empty")
    with pytest.raises(UsageError, match=r"no run 'x': there is no folder '.*absent'; name the"):
        open_run("x", tmp_path / "absent")


def test_runs_are_listed_by_name_without_what_a_kill_left_behind(tmp_path: Path) -> None:
    for name in ("b", "a"):
        finished(tmp_path / name)
    (tmp_path / "a").rename(tmp_path / ".a-x1y2")
    (tmp_path / "notes").mkdir()
    with locked(tmp_path / "b"):
        assert [r.name for r in all_runs(tmp_path)] == ["b"]


def test_a_manifest_of_another_kind_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "manifest.json").write_text('{"name": "a web app", "icons": []}')
    with pytest.raises(RunError, match="is no manifest of this version") as caught:
        _ = Run(tmp_path / "x").manifest
    assert "\n" not in str(caught.value)


def test_a_manifest_survives_json() -> None:
    content = json.loads(json.dumps(vars(MANIFEST)))
    assert Manifest.from_json(content) == MANIFEST
    assert MANIFEST.differences(replace(MANIFEST, environment={})) == []
    assert MANIFEST.differences(replace(MANIFEST, rows="z", seeds=())) == ["rows", "seeds"]


def test_a_recipe_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    run = finished(tmp_path / "x")
    (unsealed(run.path) / "recipe.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(RunError, match="yaml is not readable; copy the run again"):
        run.recipe_text  # noqa: B018


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("blend", "^'x' is a blend, which has no recipe; name one of its runs: a$"),
        ("imported", "^'x' was imported and has no recipe; name a run that was trained here$"),
    ],
)
def test_a_run_that_was_not_trained_here_says_that_it_has_no_recipe(
    tmp_path: Path, kind: Literal["blend", "imported"], fault: str
) -> None:
    writer = begin_run(tmp_path / "x", replace(MANIFEST, kind=kind), None, False)
    assert writer is not None
    with pytest.raises(UsageError, match=fault):
        writer.finish(made_up(), METRICS, {}).recipe()
