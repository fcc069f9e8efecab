"""mmctr_kit.runs.slices: what a run is worth on parts of the rows."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import assign_folds, user_folds
from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.metrics.calibration import calibration
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.runs.predictions import Keys, Predictions, predictions_for
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.slices import (
    MIN_USERS,
    Slicing,
    ece_text,
    recorded_data,
    score_slices,
    slice_columns,
    slice_metrics,
    z_text,
)
from mmctr_kit.runs.writer import begin_run
from tests.runs.test_run import MANIFEST

FOLDS = 3


def folds_of(data: ChallengeData) -> NDArray[np.int16]:
    return user_folds(data.train.user_id, FOLDS, 0)


def predictions(data: ChallengeData, oof_noise: NDArray[np.float64] | float = 1.0) -> Predictions:
    """Logits that know the label, with noise."""
    rng = np.random.default_rng(0)
    oof = 2.0 * data.train.labels() + oof_noise * rng.standard_normal(len(data.train))
    valid = 2.0 * data.valid.labels() + rng.standard_normal((FOLDS, len(data.valid)))
    test = rng.standard_normal((FOLDS, len(data.test)))
    return predictions_for(data, oof, folds_of(data), valid, test)


def entry(entries: list[dict[str, Any]], split: str, by: str, name: str) -> Mapping[str, Any]:
    found = [e for e in entries if (e["split"], e["by"], e["slice"]) == (split, by, name)]
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module")
def slicing(tiny: ChallengeData) -> Slicing:
    return slice_columns(tiny, folds_of(tiny))


def test_every_row_lies_in_one_slice_of_each_property(
    tiny: ChallengeData, slicing: Slicing
) -> None:
    assert list(slicing.columns) == ["history", "popularity", "seen", "tags", "text", "image"]
    assert slicing.left_out == {}
    entries = score_slices(predictions(tiny), slicing)
    for split, rows in (("oof", tiny.train), ("valid", tiny.valid)):
        for by in slicing.columns:
            inside = [e for e in entries if (e["split"], e["by"]) == (split, by)]
            assert sum(e["rows"] for e in inside) == len(rows)
            assert sum(e["positives"] for e in inside) == rows.labels().sum()


def test_slices_are_what_their_names_say(tiny: ChallengeData, slicing: Slicing) -> None:
    length = tiny.histories.lengths[tiny.valid.history]
    tags = (tiny.item_tags[tiny.valid.item_id] != 0).sum(axis=1)
    target = np.bincount(tiny.train.item_id, minlength=tiny.n_items + 1)
    names = {by: np.array(c.names)[c.codes["valid"]] for by, c in slicing.columns.items()}
    assert ((length >= 4) & (length <= 7) == (names["history"] == "4-7")).all()
    assert ((tags >= 3) == (names["tags"] == "3+")).all()
    assert ((target[tiny.valid.item_id] == 0) == (names["popularity"] == "cold")).all()
    for name in slicing.columns["popularity"].names[1:]:
        low, _, high = name.partition("-")
        counts = target[tiny.valid.item_id][names["popularity"] == name]
        assert counts.min() >= int(low)
        assert counts.max() <= int(high or low)


def test_the_quarters_of_popularity_hold_a_quarter_of_the_train_rows(
    tiny: ChallengeData, slicing: Slicing
) -> None:
    column = slicing.columns["popularity"]
    share = np.bincount(column.codes["oof"], minlength=5) / len(tiny.train)
    assert len(column.names) == 5
    assert share[1:] == pytest.approx(0.25, abs=0.08)


def test_an_oof_row_knows_the_items_of_other_folds_alone(
    tiny: ChallengeData, slicing: Slicing
) -> None:
    fold = folds_of(tiny)
    rows, items = tiny.train, tiny.histories.values
    lengths = tiny.histories.lengths
    for f in range(FOLDS):
        own = fold == f
        targets = set(rows.item_id[~own].tolist())
        used = np.isin(np.arange(len(lengths)), rows.history[~own])
        inside = set(items[np.repeat(used, lengths)].tolist())
        seen = [0 if i in targets else 1 if i in inside else 2 for i in rows.item_id[own].tolist()]
        assert slicing.columns["seen"].codes["oof"][own].tolist() == seen
        cold = slicing.columns["popularity"].codes["oof"][own] == 0
        assert (cold == (np.array(seen) > 0)).all()


def test_a_valid_slice_has_the_fold_means_auc_and_calibration_on_its_rows(
    tiny: ChallengeData, slicing: Slicing
) -> None:
    found = predictions(tiny)
    row = entry(score_slices(found, slicing), "valid", "history", "4-7")
    inside = slicing.columns["history"].codes["valid"] == 2
    logit, label = found.valid_mean()[inside], found.valid_label[inside]
    expected = auc_with_se(label, logit, found.valid_keys.user_id[inside])
    assert row["auc"]["value"] == pytest.approx(expected.value)
    assert row["auc"]["error"] == pytest.approx(expected.se)
    fit = calibration(label, logit)
    assert (row["mean_prediction"], row["mean_label"], row["ece"]) == (
        fit.mean_prediction,
        fit.mean_label,
        fit.ece,
    )
    assert row["errors"] == pytest.approx(row["gap"]["value"] / row["gap"]["error"])
    assert row["gap"]["value"] == pytest.approx(row["auc"]["value"] - row["rest"]["value"])


def test_the_slice_that_was_made_worse_is_pointed_out_and_no_other_of_its_property(
    tiny: ChallengeData, slicing: Slicing
) -> None:
    short = slicing.columns["history"].codes["oof"] == 1
    assert not any(e["worse"] for e in score_slices(predictions(tiny), slicing))
    entries = score_slices(predictions(tiny, np.where(short, 5.0, 1.0)), slicing)
    worse = [e for e in entries if e["worse"] and e["by"] == "history"]
    assert [(e["split"], e["slice"]) for e in worse] == [("oof", "1-3")]
    assert worse[0]["errors"] < -3
    assert worse[0]["note"].startswith(f"AUC {worse[0]['auc']['value']:.4f} ±")
    better = entry(entries, "oof", "history", "4-7")
    assert better["note"] is None


def test_too_few_users_are_not_pointed_out(tiny: ChallengeData, slicing: Slicing) -> None:
    """Rows that all score wrong have an error of 0, so they'd lie any number of errors away."""
    found = predictions(tiny)
    column = slicing.columns["history"]
    for users, worse in ((MIN_USERS - 1, False), (MIN_USERS, True)):
        inside = np.zeros(len(tiny.train), np.bool_)
        for value in (0, 1):
            rows = np.flatnonzero(tiny.train.labels() == value)
            _, first = np.unique(tiny.train.user_id[rows], return_index=True)
            inside[rows[first[:users]]] = True
        assert found.oof is not None
        logit = np.where(inside, -found.oof.logit, found.oof.logit)
        against = np.where(inside, 10.0 - 20.0 * tiny.train.labels(), logit)
        turned = replace(found, oof=replace(found.oof, logit=against))
        codes = {**column.codes, "oof": inside.astype(np.int8)}
        own = Slicing({"own": replace(column, codes=codes)}, {})
        assert entry(score_slices(turned, own), "oof", "own", column.names[1])["worse"] is worse


def test_one_label_or_everything_is_null_and_json_has_no_nan(
    tiny: ChallengeData, slicing: Slicing
) -> None:
    column = slicing.columns["tags"]
    positive = {"oof": tiny.train.labels(), "valid": np.zeros(len(tiny.valid), np.int8)}
    own = Slicing({"own": replace(column, codes=positive)}, {})
    entries = score_slices(predictions(tiny), own)
    one = entry(entries, "oof", "own", "1")
    assert (one["auc"], one["gap"], one["errors"], one["worse"]) == (None, None, None, False)
    assert one["positives"] == one["rows"]
    whole = entry(entries, "valid", "own", "0")
    assert whole["auc"] is not None
    assert whole["rest"] is None
    assert [e["slice"] for e in entries] == ["0", "1", "0"]
    json.dumps(entries, allow_nan=False)


def test_a_pair_of_rows_leaves_no_nan_behind(tiny: ChallengeData, slicing: Slicing) -> None:
    column = slicing.columns["tags"]
    codes = {s: np.zeros(len(c), np.int8) for s, c in column.codes.items()}
    pair = [int(np.flatnonzero(tiny.train.labels() == v)[0]) for v in (0, 1)]
    codes["oof"][pair] = 2
    entries = score_slices(predictions(tiny), Slicing({"own": replace(column, codes=codes)}, {}))
    json.dumps(entries, allow_nan=False)
    assert not entry(entries, "oof", "own", "2")["worse"]


def test_without_item_feature_text_and_image_are_left_out_and_it_says_so(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    metrics = slice_metrics(replace(tiny, folder=tmp_path), predictions(tiny))
    assert {e["by"] for e in metrics["slices"]} == {"history", "popularity", "seen", "tags"}
    assert set(metrics["slices_left_out"]) == {"text", "image"}
    assert "no item_feature.parquet" in metrics["slices_left_out"]["image"]


def test_predictions_without_valid_rows_have_oof_slices_alone(
    tiny: ChallengeData, slicing: Slicing
) -> None:
    whole = predictions(tiny)
    assert whole.oof is not None
    found = predictions_for(tiny, whole.oof.logit, whole.oof.fold, None, whole.test)
    assert {e["split"] for e in score_slices(found, slicing)} == {"oof"}


def test_rows_in_another_order_are_refused(tiny: ChallengeData) -> None:
    found = predictions(tiny)
    keys = replace(found.valid_keys, item_id=found.valid_keys.item_id[::-1])
    with pytest.raises(ValueError, match="not the data's"):
        slice_metrics(tiny, replace(found, valid_keys=keys))


def test_without_oof_the_slices_are_those_of_valid(tiny: ChallengeData) -> None:
    found = predictions(tiny)
    both = slice_metrics(tiny, found)["slices"]
    assert {entry["split"] for entry in both} == {"oof", "valid"}
    alone = slice_metrics(tiny, replace(found, oof=None))["slices"]
    assert alone == [entry for entry in both if entry["split"] == "valid"]


def test_equal_predictions_give_equal_slices(tiny: ChallengeData) -> None:
    texts = {json.dumps(slice_metrics(tiny, predictions(tiny))) for _ in range(2)}
    assert len(texts) == 1


def test_a_model_of_time_folds_has_seen_the_targets_and_histories_before_its_block(
    timed: ChallengeData,
) -> None:
    fold = assign_folds(timed.train, "time", FOLDS, 0)
    columns, train = slice_columns(timed, fold).columns, timed.train
    for f in range(FOLDS):
        before, own = np.flatnonzero(fold < f), fold[fold >= 0] == f
        targets = set(train.item_id[before])
        shown = set(timed.histories.take(train.history[before]).values)
        item = train.item_id[fold == f].tolist()
        cold = columns["popularity"].codes["oof"][own] == 0
        assert cold.tolist() == [i not in targets for i in item]
        seen = [0 if i in targets else 1 if i in shown else 2 for i in item]
        assert columns["seen"].codes["oof"][own].tolist() == seen


def test_with_times_the_quarters_of_each_split_are_slices(timed: ChallengeData) -> None:
    fold = assign_folds(timed.train, "time", FOLDS, 0)
    column = slice_columns(timed, fold).columns["time"]
    assert timed.train.time is not None
    assert timed.valid.time is not None
    times = {"oof": timed.train.time[fold >= 0], "valid": timed.valid.time}
    for split, time in times.items():
        codes = column.codes[split]
        assert np.bincount(codes).tolist() == pytest.approx([len(time) / 4] * 4, abs=1)
        for quarter in range(3):
            assert time[codes == quarter].max() <= time[codes == quarter + 1].min()


def test_all_oof_rows_of_item_folds_are_cold_and_valid_rows_are_not(tiny: ChallengeData) -> None:
    oof = assign_folds(tiny.train, "item", FOLDS, 0)
    codes = slice_columns(tiny, oof).columns["popularity"].codes
    assert (codes["oof"] == 0).all()
    assert (codes["valid"] > 0).any()


def test_an_import_without_valid_rows_has_slices_of_oof_alone(tiny: ChallengeData) -> None:
    whole = predictions(tiny)
    some = replace(
        whole, valid_keys=Keys.none(), valid_label=whole.valid_label[:0], valid=whole.valid[:, :0]
    )
    entries = slice_metrics(tiny, some)["slices"]
    assert entries == [e for e in slice_metrics(tiny, whole)["slices"] if e["split"] == "oof"]


def test_the_data_of_a_blend_are_those_recorded_for_the_first_run_that_knows(
    tmp_path: Path,
) -> None:
    def made(name: str, sources: tuple[str, ...], data: Path | None) -> Run:
        begin_run(tmp_path / name, replace(MANIFEST, sources=sources), None, False, data)
        (tmp_path / name / "DONE").write_text("done\n")
        return Run(tmp_path / name)

    made("old", (), None)
    made("new", (), tmp_path / "data")
    inner = made("inner", ("gone", "old", "new"), None)
    outer = made("outer", ("inner",), None)
    assert recorded_data(inner) == recorded_data(outer) == tmp_path / "data"
    assert recorded_data(made("none", ("old",), None)) is None
    assert recorded_data(made("own", ("new",), tmp_path / "other")) == tmp_path / "other"


def test_one_positive_has_no_standard_error_and_is_not_judged(
    tiny: ChallengeData, slicing: Slicing
) -> None:
    found = predictions(tiny)
    only = np.zeros(len(tiny.valid), np.int8)
    codes = slicing.columns["history"].codes["valid"]
    name = slicing.columns["history"].names[int(codes[0])]
    inside = np.flatnonzero(codes == codes[0])
    only[inside[0]] = 1
    only[np.flatnonzero(codes != codes[0])[::3]] = 1
    one = entry(score_slices(replace(found, valid_label=only), slicing), "valid", "history", name)
    assert (one["positives"], one["auc"]["error"]) == (1, None)
    assert str(Estimate.from_json(one["auc"])).endswith("± n/a")
    assert z_text(one) == "too few"


def test_a_calibration_error_that_chance_explains_is_marked() -> None:
    part = {"ece": 0.08, "mean_prediction": 0.25, "rows": 400}
    assert ece_text(part) == "~0.080"
    assert ece_text(part | {"rows": 4000}) == "0.080"
