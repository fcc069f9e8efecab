"""The JSON files of a run are checked as they are read, by name of what is odd."""

import json
from pathlib import Path
from typing import Any

import pytest

from mmctr_kit.errors import RunError
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.fold_folder import FoldFolder
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.progress import _state
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.stored import checked_timings, epochs_in, read_metrics

SCORE = {"value": 0.7, "error": None, "n": 10}
METRICS = {"valid": SCORE, "test_tied_share": 0.0, "alarm": None, "oof": SCORE, "more": [1]}
MANIFEST = {"kind": "cv", "rows": "a", "features": "b", "folds": "c", "recipe": "d", "seeds": [0]}


def written(folder: Path, name: str, content: Any) -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_what_a_run_wrote_is_read_as_it_is(tmp_path: Path) -> None:
    assert read_metrics(written(tmp_path, "m.json", METRICS)) == METRICS
    timings = {"phase_seconds": {"load": 1.5}, "more": 1}
    assert checked_timings(timings, tmp_path) == timings
    with pytest.raises(RunError, match=r"phase_seconds.load is 'x'"):
        checked_timings({"phase_seconds": {"load": "x"}}, tmp_path)
    line = {"epoch": 1, "holdout_auc": None, "more": 2}
    assert epochs_in([json.dumps(line)], tmp_path) == [line]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"valid": {"value": 0.7, "n": 10}}, "valid.error is missing"),
        ({"valid": 0.7}, "valid is 0.7"),
        ({"oof": {**SCORE, "value": "high"}}, "oof.value is 'high'"),
        ({"oof": []}, r"oof is \[\]"),
        ({"alarm": 3}, "alarm is 3"),
        ({"test_tied_share": None}, "test_tied_share is None"),
        ({"seeds": {"0": {"oof": SCORE}}}, "seeds.0.valid is missing"),
        ({"slices": [{"split": "oof"}]}, "slices.0.by is missing"),
    ],
)
def test_an_odd_score_is_named(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = written(tmp_path, "metrics.json", METRICS | change)
    with pytest.raises(RunError, match=rf"is damaged, or of another version \({says}\)"):
        read_metrics(path)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, '{"epoch": 1}', "7", '{"epoch": "x"}'])
def test_an_odd_epoch_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(RunError, match="run again"):
        epochs_in([text], tmp_path / "metrics.jsonl")


@pytest.mark.parametrize("change", [{"seeds": "x"}, {"sources": 3}, {"kind": []}, {"rows": None}])
def test_an_odd_manifest_is_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    written(tmp_path, "manifest.json", MANIFEST)
    assert Run(tmp_path).manifest == Manifest.from_json(MANIFEST)
    written(tmp_path, "manifest.json", MANIFEST | change)
    with pytest.raises(RunError, match="is damaged, or of another version"):
        _ = Run(tmp_path).manifest


def test_json_nested_too_deep_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not readable"):
        read_metrics(written(tmp_path, "metrics.json", '{"a":' * 100_000))


def test_a_stored_estimate_that_is_none_is_one_line() -> None:
    assert Estimate.from_json({"value": None, "error": None, "n": 3}).n == 3
    for odd in ({}, {"value": "x", "error": 1, "n": 1}, {"value": 1.0, "error": 1.0, "n": None}):
        with pytest.raises(RunError, match=r"expected a score as \{value, error, n\}; found"):
            Estimate.from_json(odd)


def test_odd_lines_and_seconds_of_a_fold_model_are_one_line_each(tmp_path: Path) -> None:
    folder = FoldFolder(tmp_path)
    (tmp_path / "metrics.jsonl").write_bytes(b"\xff")
    with pytest.raises(RunError, match="is not readable; delete its folder and run again"):
        folder.epochs()
    written(tmp_path, "metrics.jsonl", {"epoch": 1, "holdout_auc": 0.5})
    written(tmp_path, "timings.json", {"load": [], "epochs": 3})
    with pytest.raises(RunError, match=r"timings.json holds no seconds; delete its folder, run"):
        _state(folder)
