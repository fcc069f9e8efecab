"""The leaderboard: the best valid AUC first, unfinished runs last, the oracle beside them."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import user_folds
from mmctr_kit.errors import UsageError
from mmctr_kit.metrics.auc import auc, auc_difference
from mmctr_kit.runs.leaderboard import leaderboard
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.predictions import Predictions, predictions_for
from mmctr_kit.runs.run import Run, all_runs
from mmctr_kit.runs.scores import score_predictions
from mmctr_kit.runs.writer import begin_run

FOLDS = 3
MANIFEST = Manifest("cv", rows="r", features="f", folds="o", recipe="c", seeds=(0,))


def made_up(data: ChallengeData, signal: float, valid_signal: float | None = None) -> Predictions:
    rng = np.random.default_rng(0)
    oof = signal * data.train.labels() + rng.normal(size=len(data.train))
    valid = rng.normal(size=(FOLDS, len(data.valid)))
    valid += (signal if valid_signal is None else valid_signal) * data.valid.labels()
    test = rng.normal(size=(FOLDS, len(data.test)))
    return predictions_for(data, oof, user_folds(data.train.user_id, FOLDS, 0), valid, test)


def write_run(root: Path, name: str, found: Predictions, manifest: Manifest = MANIFEST) -> Run:
    writer = begin_run(root / name, manifest, None, False)
    assert writer is not None
    timings = {"phase_seconds": {"load": 1.5, "train": 2.0}} if manifest.kind == "cv" else {}
    return writer.finish(found, score_predictions(found), timings)


def test_runs_stand_by_valid_auc_and_unfinished_ones_last(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    begin_run(tmp_path / "a-begun", MANIFEST, None, False)
    for name, signal in (("b-middle", 1.0), ("c-worst", -1.0), ("d-best", 2.0)):
        write_run(tmp_path, name, made_up(tiny, signal))
    entries = leaderboard(all_runs(tmp_path))
    assert [e.name for e in entries] == ["d-best", "b-middle", "c-worst", "a-begun"]
    assert [e.state for e in entries] == ["", "", "", "unfinished"]
    begun = entries[-1]
    assert (begun.oof, begun.valid, begun.test, begun.seconds) == (None, None, None, None)


def test_each_number_is_the_runs_own_with_its_error(tiny: ChallengeData, tmp_path: Path) -> None:
    run = write_run(tmp_path, "x", made_up(tiny, 1.0), replace(MANIFEST, seeds=(0, 1, 2)))
    (entry,) = leaderboard([run])
    assert entry.valid is not None
    assert entry.oof is not None
    assert entry.valid.to_json() == run.metrics["valid"]
    assert entry.oof.to_json() == run.metrics["oof"]
    assert (entry.kind, entry.seeds, entry.seconds, entry.test) == ("cv", 3, 3.5, None)
    assert entry.phases == {"load": 1.5, "train": 2.0}


def test_oof_of_millions_of_rows_is_not_read_for_it(tiny: ChallengeData, tmp_path: Path) -> None:
    runs = [write_run(tmp_path, n, made_up(tiny, s)) for n, s in (("a", 2.0), ("b", 1.0))]
    before = leaderboard(runs)
    for run in runs:
        (run.path / "oof.parquet").write_bytes(b"no parquet")
    assert leaderboard(runs) == before
    assert before[1].behind is not None


def test_an_import_without_oof_or_seconds_is_listed(tiny: ChallengeData, tmp_path: Path) -> None:
    found = replace(made_up(tiny, 1.0), oof=None)
    manifest = replace(MANIFEST, kind="imported", folds="", seeds=())
    (entry,) = leaderboard([write_run(tmp_path, "x", found, manifest)])
    assert (entry.kind, entry.seeds, entry.oof, entry.seconds) == ("imported", 1, None, None)
    assert entry.valid is not None


def test_a_run_whose_oof_and_valid_disagree_is_marked(tiny: ChallengeData, tmp_path: Path) -> None:
    (entry,) = leaderboard([write_run(tmp_path, "x", made_up(tiny, 3.0, valid_signal=0.0))])
    assert entry.state == "alarm"


def test_truth_adds_the_test_auc_and_the_oracle(
    tiny: ChallengeData, tiny_root: Path, tmp_path: Path
) -> None:
    truth = tiny_root / "truth"
    labels = pd.read_parquet(truth / "test_labels.parquet").set_index("ID")["label"].sort_index()
    found = made_up(tiny, 1.0)
    found = replace(found, test=found.test + labels.to_numpy())
    run = write_run(tmp_path, "x", found)
    entry, oracle = leaderboard([run], truth)
    assert entry.test is not None
    assert entry.test.value == auc(labels.to_numpy(), found.test_mean())
    assert entry.test.se > 0
    best = json.loads((truth / "oracle.json").read_text())["auc"]
    assert oracle.name == "oracle"
    assert oracle.test is not None
    assert oracle.valid is not None
    assert oracle.oof is not None
    values = (oracle.oof.value, oracle.valid.value, oracle.test.value)
    assert values == tuple(best[s]["row"] for s in ("train", "valid", "test"))
    assert all(math.isnan(score.se) for score in (oracle.oof, oracle.valid, oracle.test))
    lead = oracle.test.value - 0.5
    assert entry.kept is not None
    assert entry.kept.value == (entry.test.value - 0.5) / lead
    assert entry.kept.se == entry.test.se / lead


def test_test_labels_in_any_order_meet_by_id(
    tiny: ChallengeData, tiny_root: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "truth"
    truth.mkdir()
    (truth / "oracle.json").write_text((tiny_root / "truth" / "oracle.json").read_text())
    labels = pd.read_parquet(tiny_root / "truth" / "test_labels.parquet")
    labels.sample(frac=1, random_state=0).to_parquet(truth / "test_labels.parquet", index=False)
    run = write_run(tmp_path / "runs", "x", made_up(tiny, 1.0))
    assert leaderboard([run], truth) == leaderboard([run], tiny_root / "truth")


def test_the_wrong_truth_is_one_line(tiny: ChallengeData, tiny_root: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", "x", made_up(tiny, 1.0))
    with pytest.raises(UsageError, match="--truth takes the truth folder"):
        leaderboard([run], tiny_root / "data")


def test_labels_of_another_data_set_leave_a_runs_test_auc_out(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "runs", "x", made_up(tiny, 1.0))
    truth = tmp_path / "truth"
    truth.mkdir()
    frame = pd.DataFrame({"ID": [0, 1], "label": [0, 1]})
    frame.to_parquet(truth / "test_labels.parquet", index=False)
    # No oracle.json either: an importer writes labels alone.
    (only,) = leaderboard([run], truth)
    assert only.test is None
    assert only.valid is not None


def test_a_damaged_run_is_marked_and_hides_no_other(tiny: ChallengeData, tmp_path: Path) -> None:
    write_run(tmp_path, "good", made_up(tiny, 1.0))
    bad = write_run(tmp_path, "bad", made_up(tiny, 1.0))
    (bad.path / "metrics.json").unlink()
    states = {e.name: e.state for e in leaderboard(all_runs(tmp_path))}
    assert states == {"good": "", "bad": "unreadable"}


def test_every_run_is_compared_paired_with_the_best(tiny: ChallengeData, tmp_path: Path) -> None:
    strong, weak = made_up(tiny, 2.0), made_up(tiny, 0.2)
    write_run(tmp_path, "strong", strong)
    write_run(tmp_path, "weak", weak)
    first, second = leaderboard(all_runs(tmp_path))
    assert (first.name, first.behind) == ("strong", None)
    user = strong.valid_keys.user_id
    expected = auc_difference(strong.valid_label, weak.valid_mean(), strong.valid_mean(), user)
    assert second.behind == expected
    assert expected.value < 0


def test_no_runs_are_an_empty_leaderboard(tmp_path: Path) -> None:
    assert leaderboard(all_runs(tmp_path)) == []
