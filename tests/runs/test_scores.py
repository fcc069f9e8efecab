"""metrics.json: each number beside its error, and the alarm where fold models disagree."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from mmctr_kit.data.folds import user_folds
from mmctr_kit.errors import DataError
from mmctr_kit.metrics.auc import auc, auc_with_se, mean_fold_auc
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.gauc import gauc
from mmctr_kit.runs import scores
from mmctr_kit.runs.predictions import Keys, OutOfFold, Predictions
from mmctr_kit.runs.scores import score_predictions, seed_scores

FOLDS = 3


def keys(users: int, first: int, rows: int = 4) -> Keys:
    user = np.repeat(np.arange(first, first + users), rows)
    count = len(user)
    return Keys(user, np.arange(1, count + 1, dtype=np.int32), np.zeros(count, np.int32))


def made_up(
    seed: int = 0, oof_signal: float = 1.0, valid_signal: float = 1.0, users: int = 150
) -> Predictions:
    rng = np.random.default_rng(seed)
    label = np.tile(np.array([1, 0, 0, 0], np.int8), users)
    train, valid, test = keys(users, 0), keys(users, 10_000), keys(users, 20_000)
    fold = user_folds(train.user_id, FOLDS, 0)
    oof = oof_signal * label + rng.normal(size=len(label))
    return Predictions(
        OutOfFold(train, label, fold, oof),
        valid,
        label,
        valid_signal * label + rng.normal(size=(FOLDS, len(label))),
        test,
        rng.normal(size=(FOLDS, len(label))),
    )


def test_the_headline_is_the_fold_means_valid_auc() -> None:
    found = made_up()
    metrics = score_predictions(found)
    mean = auc_with_se(found.valid_label, found.valid.mean(axis=0), found.valid_keys.user_id)
    assert Estimate.from_json(metrics["valid"]) == mean


def test_oof_is_the_mean_of_the_folds_and_stands_beside_the_fold_models_valid() -> None:
    found = made_up()
    metrics = score_predictions(found)
    oof = found.oof
    assert oof is not None
    per_fold = [auc(oof.label[oof.fold == f], oof.logit[oof.fold == f]) for f in range(FOLDS)]
    assert metrics["oof"]["value"] == pytest.approx(np.mean(per_fold))
    expected = mean_fold_auc(oof.label, oof.logit, oof.fold, oof.keys.user_id)
    assert metrics["oof"]["error"] == expected.se
    single = [auc(found.valid_label, logits) for logits in found.valid]
    assert metrics["fold_models_valid"]["value"] == pytest.approx(np.mean(single))
    assert metrics["fold_models_valid"]["value"] < metrics["valid"]["value"]


def test_metrics_are_json_without_nan() -> None:
    metrics = score_predictions(made_up())
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_a_better_oof_than_valid_raises_the_alarm_and_a_like_one_does_not() -> None:
    assert score_predictions(made_up())["alarm"] is None
    alarm = score_predictions(made_up(oof_signal=3.0))["alarm"]
    assert "OOF AUC" in alarm
    assert "errors" in alarm
    assert score_predictions(made_up(valid_signal=3.0))["alarm"] is not None


@pytest.mark.parametrize(
    ("oof", "valid", "fires"),
    [
        (Estimate(0.80, 0.01, 9), Estimate(0.80 - 0.0299, 0.0, 9), False),
        (Estimate(0.80, 0.01, 9), Estimate(0.80 - 0.0301, 0.0, 9), True),
        (Estimate(0.80, 0.01, 9), Estimate(0.80 + 0.0301, 0.0, 9), True),
        (Estimate(0.80, 0.03, 9), Estimate(0.80 - 0.1499, 0.04, 9), False),
        (Estimate(0.80, 0.03, 9), Estimate(0.80 - 0.1501, 0.04, 9), True),
        (Estimate(0.75, 0.25, 9), Estimate(0.0, 0.0, 9), True),  # exactly 3 errors
        (Estimate(1.0, 0.0, 9), Estimate(1.0, 0.0, 9), False),
        (Estimate(1.0, 0.0, 9), Estimate(0.0, 0.0, 9), True),
        (Estimate(0.9, math.nan, 9), Estimate(0.5, 0.01, 9), False),
        (Estimate(0.9, 0.01, 9), Estimate(0.5, math.nan, 9), False),
    ],
)
def test_the_alarm_fires_at_three_errors_and_not_below(
    oof: Estimate, valid: Estimate, fires: bool
) -> None:
    assert (scores._alarm(oof, valid) is not None) == fires


def test_without_oof_there_is_no_oof_number_and_no_alarm() -> None:
    metrics = score_predictions(replace(made_up(), oof=None))
    assert metrics["alarm"] is None
    assert not [name for name in metrics if "oof" in name or "fold_models" in name]


def test_an_error_that_cannot_be_told_is_null_and_comes_back_as_nan() -> None:
    found = made_up()
    one_user = replace(found, valid_keys=replace(found.valid_keys, user_id=np.zeros(600, np.int64)))
    metrics = score_predictions(one_user)
    assert metrics["valid"]["error"] is None
    assert metrics["alarm"] is None
    assert math.isnan(Estimate.from_json(metrics["valid"]).se)


def test_users_of_one_row_each_have_no_gauc_and_all_else() -> None:
    found = made_up()
    oof = found.oof
    assert oof is not None
    expected = gauc(oof.label, oof.logit, oof.keys.user_id)
    assert Estimate.from_json(score_predictions(found)["oof_gauc"]) == expected
    alone = replace(found.valid_keys, user_id=np.arange(600))
    metrics = score_predictions(replace(found, valid_keys=alone))
    assert metrics["valid_gauc"] is None
    assert 0.5 < metrics["valid"]["value"] < 1
    json.dumps(metrics, allow_nan=False)


@pytest.mark.parametrize("label", [0, 1])
def test_a_valid_of_one_label_is_a_data_error(label: int) -> None:
    found = made_up()
    with pytest.raises(DataError, match="both labels, but valid has 600 rows of one"):
        score_predictions(replace(found, valid_label=np.full(600, label, np.int8)))


def test_a_fold_of_one_label_is_named() -> None:
    found = made_up()
    assert found.oof is not None
    label = np.where(found.oof.fold == 1, 0, found.oof.label).astype(np.int8)
    with pytest.raises(DataError, match="fold 1 of train"):
        score_predictions(replace(found, oof=replace(found.oof, label=label)))


def test_one_seed_says_nothing_of_the_recipe() -> None:
    metrics = seed_scores({4: made_up()})
    assert metrics["recipe_oof"]["error"] is None
    assert metrics["recipe_valid"]["error"] is None
    assert metrics["recipe_valid"]["value"] == metrics["seeds"]["4"]["valid"]["value"]
    json.dumps(metrics, allow_nan=False)


def test_the_recipes_error_counts_the_variance_between_seeds() -> None:
    metrics = seed_scores({s: made_up(s) for s in (0, 1, 2)})
    each = [metrics["seeds"][str(s)]["valid"] for s in (0, 1, 2)]
    values, errors = [e["value"] for e in each], [e["error"] for e in each]
    recipe = metrics["recipe_valid"]
    assert recipe["value"] == pytest.approx(np.mean(values))
    expected = math.sqrt(np.mean(errors) ** 2 + np.var(values, ddof=1) / 3)
    assert recipe["error"] == pytest.approx(expected)
    assert recipe["n"] == 600


def test_only_folds_by_user_raise_the_alarm_since_others_ask_what_valid_does_not() -> None:
    found = made_up(oof_signal=3.0)
    assert score_predictions(found)["alarm"]
    assert found.oof is not None
    fold = (np.arange(len(found.oof.fold)) // 2 % FOLDS).astype(np.int16)
    scores = score_predictions(replace(found, oof=replace(found.oof, fold=fold)))
    assert scores["alarm"] is None
    assert scores["fold_models_valid"]
