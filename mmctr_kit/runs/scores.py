"""Scores of a run's predictions, each with its standard error: what metrics.json holds.

Two predictors are never compared as if they were one: a *fold model*, which predicts OOF rows, and
the *fold mean*, which predicts valid and test. The headline is the fold mean's valid AUC.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.errors import DataError, plural
from mmctr_kit.metrics.auc import auc_with_se, logloss_with_se, mean_fold_auc, tied_share
from mmctr_kit.metrics.calibration import Calibration, calibration
from mmctr_kit.metrics.estimate import Estimate, mean_estimate, recipe_estimate
from mmctr_kit.metrics.gauc import gauc
from mmctr_kit.metrics.ranks import Floats, Ints, number_ids
from mmctr_kit.runs.predictions import Predictions

ALARM_Z = 3.0
"""OOF and valid AUC raise the alarm if they differ by this many standard errors."""


def score_predictions(predictions: Predictions) -> dict[str, Any]:
    """The contents of metrics.json.

    ``valid`` (the fold mean), ``oof`` and ``fold_models_valid`` (fold models) are {value, error,
    n}; ``alarm`` is set if the latter two disagree. It is null unless folds are by user: OOF rows
    of new items, or of earlier weeks, are another problem than valid's, so that their AUCs may
    differ without a fault. A GAUC is null if no user has rows of both labels; ``valid`` is null if
    there are no valid rows.

    Raises DataError if valid, or a fold of OOF, has rows of one label only.
    """
    _require_both(predictions)
    scores: dict[str, Any] = {
        "valid": None,
        "test_tied_share": tied_share(predictions.test_mean()),
        "alarm": None,
    }
    label, user = predictions.valid_label, predictions.valid_keys.user_id
    if predictions.has_valid:
        mean = predictions.valid_mean()
        scores |= {
            "valid": auc_with_se(label, mean, user).to_json(),
            "valid_logloss": logloss_with_se(label, mean, user).to_json(),
            "valid_gauc": _gauc(label, mean, user),
            "valid_calibration": _json(calibration(label, mean)),
        }
    if predictions.oof is None:
        return scores
    oof = predictions.oof
    inside = mean_fold_auc(oof.label, oof.logit, oof.fold, oof.keys.user_id)
    scores |= {
        "oof": inside.to_json(),
        "oof_logloss": logloss_with_se(oof.label, oof.logit, oof.keys.user_id).to_json(),
        "oof_gauc": _gauc(oof.label, oof.logit, oof.keys.user_id),
    }
    if predictions.has_valid:
        outside = mean_estimate([auc_with_se(label, x, user) for x in predictions.valid])
        scores["fold_models_valid"] = outside.to_json()
        scores["alarm"] = _alarm(inside, outside) if oof.by_user and not oof.by_item else None
    return scores


def seed_scores(per_seed: Mapping[int, Predictions]) -> dict[str, Any]:
    """Scores over seeds, for metrics.json: ``seeds`` is each seed's own OOF and valid AUC.

    ``recipe_oof`` and ``recipe_valid``: the mean over seeds, whose standard error is that of the
    *recipe*: it counts the variance between seeds.
    """
    scores = {str(seed): score_predictions(x) for seed, x in per_seed.items()}
    names = ("oof", "valid")
    result: dict[str, Any] = {"seeds": {s: {k: x[k] for k in names} for s, x in scores.items()}}
    for name in names:
        each = [Estimate.from_json(x[name]) for x in scores.values()]
        result[f"recipe_{name}"] = recipe_estimate(each).to_json()
    return result


def _require_both(predictions: Predictions) -> None:
    """DataError unless every part that an AUC is taken of has both labels."""
    parts = {"valid": predictions.valid_label} if predictions.has_valid else {}
    if predictions.oof is not None:
        fold, label = predictions.oof.fold, predictions.oof.label
        parts |= {f"fold {f} of train": label[fold == f] for f in np.unique(fold)}
    for name, labels in parts.items():
        if len(np.unique(labels)) < 2:
            raise DataError(
                f"AUC needs rows of both labels, but {name} has {plural(len(labels), 'row')} of "
                "one label only; take another split, or fewer folds"
            )


def _gauc(label: NDArray[np.int8], logit: Floats, user: Ints) -> dict[str, Any] | None:
    ones, rows = (np.bincount(number_ids(user), w) for w in (label, None))
    return gauc(label, logit, user).to_json() if ((ones > 0) & (ones < rows)).any() else None


def _alarm(oof: Estimate, valid: Estimate) -> str | None:
    z = abs(Estimate(oof.value - valid.value, math.hypot(oof.se, valid.se), 0).z(0.0))
    if not z >= ALARM_Z:  # NaN if a standard error is unknown: no alarm
        return None
    return (
        f"fold models' OOF AUC {oof} and valid AUC {valid} differ by {z:.1f} standard errors: a "
        "leak between train rows, or valid is of another kind; see 'mmctr-kit data profile'"
    )


def _json(fit: Calibration) -> dict[str, Any]:
    """The fields, arrays as lists; a number that is not finite is null."""
    fields = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(fit).items()}
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in fields.items()
    }
