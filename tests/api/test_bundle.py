"""Bundles from Python: the same bytes again, other data named, trained again and compared."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mmctr_kit
from mmctr_kit import DataError, ProgressEvent, RunError, UsageError
from mmctr_kit.api.bundle import TrainedAgain
from mmctr_kit.files import file_sha256, load_arrays, save_arrays
from mmctr_kit.submission.bundle.read import CONTENT, LOGITS, open_bundle, rendered
from tests.api.conftest import SHORT


@pytest.fixture(scope="module")
def bundle(tiny_root: Path, tmp_path_factory: pytest.TempPathFactory) -> mmctr_kit.Bundle:
    """The bundle of the single fit ``one``."""
    folder = tmp_path_factory.mktemp("bundle")
    short = {k: v for k, v in SHORT.items() if k != "folds.count"}
    mmctr_kit.fit("din_demo", tiny_root / "data", name="one", set=short, runs=folder)
    return mmctr_kit.bundle("one", folder / "entry", licence="MIT", holder="Two", runs=folder)


def test_the_same_bytes_come_back_and_each_model_is_reported(
    bundle: mmctr_kit.Bundle, tiny_root: Path, tmp_path: Path
) -> None:
    events: list[ProgressEvent] = []
    again = mmctr_kit.reproduce(
        bundle, tiny_root / "data", out=tmp_path / "s.zip", progress=events.append
    )
    assert (again.same, again.verdict, again.notes) == (True, "identical", ())
    assert str(again) == "identical: the submission has the same bytes (400 rows)"
    assert again.valid_auc == bundle.valid_auc
    assert again.out == tmp_path / "s.zip"
    assert file_sha256(again.out) == bundle.sha256
    assert "predicting: weights/all-0.safetensors" in [event.label for event in events]
    assert again.trained is None


def test_a_cv_of_several_seeds_in_another_folder_comes_back_too(
    tiny_root: Path, tmp_path: Path
) -> None:
    short = SHORT | {"seeds": [0, 1]}
    run = mmctr_kit.cross_validate("din_demo", tiny_root / "data", set=short, jobs=1, runs=tmp_path)
    made = mmctr_kit.bundle(run, tmp_path / "a", task="both")
    elsewhere = made.path.rename(tmp_path / "elsewhere")
    again = mmctr_kit.reproduce(elsewhere, tiny_root / "data")
    assert again.verdict == "identical"
    assert again.bundle.task == "Task1&2"
    assert again.out is None


def test_trained_again_on_this_machine_every_prediction_is_identical(
    bundle: mmctr_kit.Bundle, tiny_root: Path, tmp_path: Path
) -> None:
    again = [
        mmctr_kit.reproduce(bundle.path, tiny_root / "data", train=True, runs=runs).trained
        for runs in (None, tmp_path)
    ]
    assert again[0] is not None
    assert again[1] is not None
    assert (again[0].path, again[1].path) == (None, tmp_path / "one-again")
    assert again[0].identical
    assert again[1].gap.value == 0.0
    assert str(again[0]).endswith(f"valid AUC {bundle.valid_auc}, all predictions identical")
    assert mmctr_kit.open_run("one-again", tmp_path).valid_auc == bundle.valid_auc
    gap = mmctr_kit.Estimate(-0.001, 0.002, 400)
    other = TrainedAgain(None, bundle.valid_auc, gap, False)
    assert str(other).endswith("-0.0010 ± 0.0020 against the bundle (-0.5 SE)")


def rewritten(bundle: mmctr_kit.Bundle, out: Path, move: float, submission: bytes = b"") -> Path:
    """A copy of a bundle whose run had other logits and, if given, another submission."""
    shutil.copytree(bundle.path, out)
    logits = load_arrays(out / LOGITS)
    save_arrays(out / LOGITS, {**logits, "test": logits["test"] + move})
    if submission:
        (out / "submission.zip").write_bytes(submission)
    files = {name: file_sha256(out / name) for name in bundle.content["files"]}
    (out / CONTENT).write_bytes(rendered({**bundle.content, "files": files}))
    return out


@pytest.mark.parametrize(
    ("move", "verdict", "text"),
    [
        (0.0, "equal", "equal: all 400 scores are the same; only the zip is packed otherwise"),
        (1e-5, "rounding", "the same but for rounding: 400 of 400 rows differ, 0 beyond the tol"),
        (0.5, "different", "different: 400 of 400 rows differ, 400 beyond the tolerance; at most"),
    ],
)
def test_a_verdict_says_whether_rounding_explains_a_difference(
    bundle: mmctr_kit.Bundle, tiny_root: Path, tmp_path: Path, move: float, verdict: str, text: str
) -> None:
    other = rewritten(bundle, tmp_path / "other", move, b"packed otherwise")
    again = mmctr_kit.reproduce(other, tiny_root / "data")
    assert (again.verdict, again.same) == (verdict, verdict != "different")
    assert str(again).startswith(text)
    assert repr(again) == f"<Reproduction of {other}: {verdict}>"
    assert again.table().verdict.tolist() == [verdict]
    assert f"<td>{verdict}</td>" in again._repr_html_()


def changed_data(source: Path, out: Path, name: str, change: Callable[[Any], Any]) -> Path:
    """A copy of a data folder with a column of one of its files changed."""
    shutil.copytree(source, out)
    file, column = name.split(":")
    path = out / "MicroLens_1M_x1" / f"{file}.parquet"
    table = pq.read_table(path)
    values = change(np.stack(table.column(column).to_numpy()).copy())
    position = table.column_names.index(column)
    pq.write_table(table.set_column(position, column, pa.array(list(values))), path)
    return out


def other_label(label: Any) -> Any:
    label[3] = 1 - label[3]
    return label


def other_history(history: Any) -> Any:
    history[5, -1] = 1 + history[5, -1] % 300
    return history


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("train:label", other_label),
        ("valid:label", other_label),
        ("test:item_seq", other_history),
        ("item_info:item_tags", other_history),
    ],
)
def test_the_file_of_the_data_that_differs_is_named(
    bundle: mmctr_kit.Bundle,
    tiny_root: Path,
    tmp_path: Path,
    name: str,
    change: Callable[[Any], Any],
) -> None:
    data = changed_data(tiny_root / "data", tmp_path / "data", name, change)
    file = f"MicroLens_1M_x1/{name.split(':')[0]}.parquet"
    with pytest.raises(DataError, match=f"^{file} differs from the data that the bundle was made"):
        mmctr_kit.reproduce(bundle.path, data)


def test_a_file_stored_otherwise_is_a_note(
    bundle: mmctr_kit.Bundle, tiny_root: Path, tmp_path: Path
) -> None:
    data = changed_data(tiny_root / "data", tmp_path / "data", "test:item_seq", lambda c: c)
    again = mmctr_kit.reproduce(bundle.path, data)
    assert again.verdict == "identical"
    assert again.notes == (
        "MicroLens_1M_x1/test.parquet has other bytes than then, but the same content",
    )


def test_another_data_set_is_refused_with_all_its_files(
    bundle: mmctr_kit.Bundle, tmp_path: Path
) -> None:
    other = mmctr_kit.generate_data(tmp_path / "world", "tiny", seed=1)
    message = r"train\.parquet, .*valid\.parquet, .*test\.parquet, .* differ from the data"
    with pytest.raises(DataError, match=message):
        mmctr_kit.reproduce(bundle.path, other.data)


def test_a_blend_an_unfinished_run_and_wrong_arguments_are_refused(
    runs: Path, bundle: mmctr_kit.Bundle, tiny_root: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    with pytest.raises(RunError, match=r"'both' is a blend, .* behind it \(first, second\)"):
        mmctr_kit.bundle("both", out, runs=runs)
    shutil.copytree(runs / "first", tmp_path / "first")
    (tmp_path / "first" / "DONE").unlink()
    with pytest.raises(RunError, match="'first' is unfinished"):
        mmctr_kit.bundle("first", out, runs=tmp_path)
    with pytest.raises(UsageError, match="no task 'Task3'"):
        mmctr_kit.bundle("first", out, task="Task3", runs=runs)
    with pytest.raises(UsageError, match=r"no licence 'GPL'; expected MIT or Apache-2\.0"):
        mmctr_kit.bundle("first", out, licence="GPL", runs=runs)  # type: ignore[arg-type]
    assert not out.exists()
    data = tiny_root / "data"
    with pytest.raises(UsageError, match="--runs keeps the run that --train makes; add --train"):
        mmctr_kit.reproduce(bundle.path, data, runs=tmp_path)
    with pytest.raises(UsageError, match="exists; name another file"):
        mmctr_kit.reproduce(bundle.path, data, out=bundle.path / "submission.zip")
    with pytest.raises(UsageError, match="no data folder"):
        mmctr_kit.reproduce(bundle.path, tmp_path / "gone")


def test_a_file_that_was_edited_or_added_is_a_note(
    bundle: mmctr_kit.Bundle, tiny_root: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(bundle.path, tmp_path / "copy"))
    (copy / "notes.txt").write_text("")
    (copy / "README.md").write_text("# Team Two")
    again = mmctr_kit.reproduce(copy, tiny_root / "data")
    assert again.notes == (
        "README.md was edited since the bundle was made",
        "notes.txt is no part of the bundle",
    )
    assert open_bundle(bundle.path).extra == ()


def test_another_run_at_the_place_of_the_one_trained_again_is_refused_before_predicting(
    bundle: mmctr_kit.Bundle, runs: Path, tiny_root: Path, tmp_path: Path
) -> None:
    shutil.copytree(runs / "first", tmp_path / "one-again")
    events: list[ProgressEvent] = []
    message = r"one-again' holds something else than one trained again; .* with --runs$"
    with pytest.raises(RunError, match=message):
        mmctr_kit.reproduce(
            bundle, tiny_root / "data", train=True, runs=tmp_path, progress=events.append
        )
    assert not [event for event in events if "predicting" in event.label]


def test_an_existing_output_is_refused_first(
    bundle: mmctr_kit.Bundle, runs: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="exists and is not an empty folder"):
        mmctr_kit.bundle("no such run", bundle.path, runs=runs)
    with pytest.raises(UsageError, match="exists; name another file"):
        mmctr_kit.reproduce(tmp_path, tmp_path, out=bundle.path / "submission.zip")
