"""``mmctr-kit slices``, and the rules in ``mmctr-kit submit``."""

import json
import shutil
from pathlib import Path

import pytest

from mmctr_kit.datasets.synth import PRESETS, generate
from mmctr_kit.errors import RunError
from tests.cli.conftest import mistake, run
from tests.runs.unsealed import unsealed

TRAIN = ("--set", "training.epochs=1", "--set", "training.min_steps=0", "--devices", "cpu")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path) -> Path:
    """A run, a copy, and their blend, of the tiny data without item_feature."""
    folder = tmp_path_factory.mktemp("slices")
    data = folder / "data"
    shutil.copytree(tiny_root / "data", data)
    (data / "item_feature.parquet").unlink()
    root = str(folder / "runs")
    settings = ("--set", "folds.count=2", *TRAIN, "--data", str(data), "--runs", root)
    done = run("cv", "din_demo", *settings)
    assert done.exit_code == 0, done.output
    shutil.copytree(folder / "runs" / "din_demo", folder / "runs" / "again")
    done = run("blend", "din_demo", "again", "--name", "both", "--method", "mean", "--runs", root)
    assert done.exit_code == 0, done.output
    return folder / "runs"


def test_a_cv_run_has_slices_and_they_print_within_80_columns(runs: Path) -> None:
    done = run("slices", "din_demo", "--runs", str(runs))
    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    for text in ("OOF rows", "valid rows", "history 4-7", "tags 3+", "seen as a target"):
        assert text in done.output
    assert "left out: text (the data folder has no item_feature.parquet)" in done.output


def test_split_shows_one_of_the_two_and_json_holds_the_metrics(runs: Path) -> None:
    shown = run("slices", "din_demo", "--split", "valid", "--runs", str(runs))
    assert "OOF rows" not in shown.output
    done = run("slices", "din_demo", "--split", "oof", "--json", "--runs", str(runs))
    content = json.loads(done.stdout)
    metrics = json.loads((runs / "din_demo" / "metrics.json").read_text())
    assert content["slices"] == [e for e in metrics["slices"] if e["split"] == "oof"]
    assert len(content["slices"]) > 10
    assert set(content["left_out"]) == {"text", "image"}


def test_a_split_that_a_run_has_not_is_a_usage_error(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(runs / "din_demo", tmp_path / "single")
    for name, change in (("metrics", {}), ("manifest", {"kind": "fit"})):
        path = tmp_path / "single" / f"{name}.json"
        content = json.loads(path.read_text()) | change
        if not change:
            content["slices"] = [e for e in content["slices"] if e["split"] == "valid"]
        path.write_text(json.dumps(content))
    unsealed(tmp_path / "single")
    command = ("slices", "single", "--runs", str(tmp_path), "--split")
    says = "'single' (a single fit) has no oof predictions to slice; leave out --split oof"
    for option in ((), ("--json",)):
        code, error = mistake(capsys, *command, "oof", *option)
        assert (code, error.strip()) == (2, f"error: {says}")
    assert run(*command, "valid").exit_code == 0


def test_a_pointed_out_slice_has_its_line(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "din_demo", tmp_path / "bad")
    path = tmp_path / "bad" / "metrics.json"
    metrics = json.loads(path.read_text())
    entry = metrics["slices"][0]
    entry |= {"worse": True, "note": "AUC 0.5 ± 0.1, the other rows 0.9 ± 0.1: -0.4 ± 0.1"}
    entry["rows"], entry["auc"] = 3_600_000, {"value": 0.93061, "error": 0.0000123, "n": 3_600_000}
    path.write_text(json.dumps(metrics))
    unsealed(tmp_path)
    done = run("slices", "bad", "--runs", str(tmp_path))
    lines = f"{entry['split']}, {entry['by']} {entry['slice']} is worse:\n  {entry['note']}"
    assert lines in done.output
    assert "no slice is worse" not in done.output
    assert max(map(len, done.output.splitlines())) <= 80
    assert "0.93061 ±.00001" in done.output


def test_a_blend_has_its_own_slices_from_the_data_of_its_runs(runs: Path) -> None:
    shown = json.loads(run("slices", "both", "--json", "--runs", str(runs)).output)
    metrics = json.loads((runs / "din_demo" / "metrics.json").read_text())
    assert shown["left_out"] == metrics["slices_left_out"]
    # A mean of a run and its copy ranks as the run does.
    pairs = list(zip(shown["slices"], metrics["slices"], strict=True))
    for ours, theirs in pairs:
        for key in ("split", "by", "slice", "rows", "positives"):
            assert ours[key] == theirs[key]
        if theirs["auc"] is not None and theirs["split"] == "valid":
            assert ours["auc"]["value"] == pytest.approx(theirs["auc"]["value"], abs=1e-9)
    assert any(ours["mean_prediction"] != theirs["mean_prediction"] for ours, theirs in pairs)
    assert "OOF rows" in run("slices", "both", "--runs", str(runs)).output


def test_without_its_data_a_blend_is_one_line_that_says_what_to_name(
    runs: Path, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    unsealed(shutil.copytree(runs, root))
    for name in ("din_demo", "again", "both"):
        (root / name / "timings.json").write_text("{}")
    unknown = run("slices", "both", "--runs", str(root))
    assert isinstance(unknown.exception, RunError)
    assert "of was not recorded; name it with --data" in str(unknown.exception)
    done = run("slices", "both", "--runs", str(root), "--data", str(runs.parent / "data"))
    assert done.exit_code == 0
    lineage = json.loads((runs / "both" / "timings.json").read_text())["lineage"]
    gone = {"lineage": {**lineage, "data": str(tmp_path / "gone")}}
    (root / "both" / "timings.json").write_text(json.dumps(gone))
    moved = run("slices", "both", "--runs", str(root))
    assert f"is gone from {tmp_path / 'gone'}; name it with --data" in str(moved.exception)
    other = tmp_path / "other"
    generate(other, PRESETS["tiny"], seed=1)
    wrong = run("slices", "both", "--runs", str(root), "--data", str(other / "data"))
    assert "holds other rows than run 'both'; name its own data" in str(wrong.exception)


def test_submit_prints_what_the_rules_say_and_still_writes(runs: Path, tmp_path: Path) -> None:
    place = ("--out", str(tmp_path / "s.zip"), "--runs", str(runs))
    done = run("submit", "din_demo", "--task", "Task1", *place)
    assert done.exit_code == 0
    assert (tmp_path / "s.zip").is_file()
    assert "rule-official-din" in done.output
    assert "embedding_dim" in done.output
    assert "din_demo: rules kept: none; unclear: Task1&2; breached: Task1, Task2" in done.output
    blend = run("submit", "both", "--task", "Task1", "--json", "--force", *place)
    ids = {f["id"] for f in json.loads(blend.stdout)["checks"] if f["level"] == "WARN"}
    assert {"rule-official-din", "rule-blend", "rule-averaged"} <= ids


@pytest.mark.parametrize(("task", "word"), [("Task1", "breaks"), ("both", "unclear")])
def test_a_broken_and_an_unclear_rule_exit_1_only_if_strict(
    runs: Path, tmp_path: Path, task: str, word: str
) -> None:
    command = ("submit", "both", "--task", task, "--out", str(tmp_path / "s.zip"))
    done = run(*command, "--runs", str(runs))
    assert done.exit_code == 0
    assert " WARN  rule-averaged" in done.output
    assert f"{word} " in done.output
    written = (tmp_path / "s.zip").read_bytes()
    strict = run(*command, "--strict", "--force", "--runs", str(runs))
    assert strict.exit_code == 1
    assert str(strict.exception).endswith("; nothing was written")
    assert (tmp_path / "s.zip").read_bytes() == written
