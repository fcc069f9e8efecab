"""What a run's predictions are worth, each number beside its error. Design: section 6.

Two predictors are never compared as if they were one: a *fold model* (each OOF row comes from
one) and the *fold mean*, which valid and test get. The headline is the fold mean's valid AUC.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.errors import DataError, plural
from mmctr_kit.metrics.auc import (
    auc_with_error,
    gauc,
    logloss_with_error,
    mean_fold_auc,
    tied_share,
)
from mmctr_kit.metrics.calibration import calibration
from mmctr_kit.metrics.estimate import Estimate, recipe_error
from mmctr_kit.metrics.ranks import number_ids
from mmctr_kit.runs.predictions import Predictions

ALARM_ERRORS = 3.0


def score_predictions(found: Predictions) -> dict[str, Any]:
    """The contents of metrics.json: ``valid`` (the fold mean), ``oof`` and ``fold_models_valid``
    (fold models), each as {value, error, n}; ``alarm`` where the latter two disagree. A GAUC is
    null where no user has rows of both labels; ``valid`` is null where there are no valid rows.

    Raises DataError where valid, or a fold of OOF, has rows of one label alone.
    """
    _require_both(found)
    scores: dict[str, Any] = {
        "valid": None,
        "test_tied_share": tied_share(found.test_mean()),
        "alarm": None,
    }
    label, user = found.valid_label, found.valid_keys.user_id
    if found.has_valid:
        mean = found.valid_mean()
        scores |= {
            "valid": plain(auc_with_error(label, mean, user)),
            "valid_logloss": plain(logloss_with_error(label, mean, user)),
            "valid_gauc": _gauc(label, mean, user),
            "valid_calibration": _finite(asdict(calibration(label, mean))),
        }
    if found.oof is None:
        return scores
    oof = found.oof
    inside = mean_fold_auc(oof.label, oof.logit, oof.fold, oof.keys.user_id)
    scores |= {
        "oof": plain(inside),
        "oof_logloss": plain(logloss_with_error(oof.label, oof.logit, oof.keys.user_id)),
        "oof_gauc": _gauc(oof.label, oof.logit, oof.keys.user_id),
    }
    if found.has_valid:
        outside = _mean_of([auc_with_error(label, logits, user) for logits in found.valid])
        scores |= {"fold_models_valid": plain(outside), "alarm": _alarm(inside, outside)}
    return scores


def seed_scores(per_seed: Mapping[int, Predictions]) -> dict[str, Any]:
    """``seeds``: each seed's own OOF and valid AUC. ``recipe_oof`` and ``recipe_valid``: the mean
    over seeds with the error of the *recipe*, which counts the variance between seeds."""
    rows = {seed: score_predictions(found) for seed, found in per_seed.items()}
    result: dict[str, Any] = {
        "seeds": {str(s): {k: r[k] for k in ("oof", "valid")} for s, r in rows.items()}
    }
    for name in ("oof", "valid"):
        values = [r[name]["value"] for r in rows.values()]
        errors = [r[name]["error"] for r in rows.values()]
        sampling = Estimate(float(np.mean(values)), _nan_mean(errors), rows_of(rows, name))
        total = recipe_error(sampling, values)
        result[f"recipe_{name}"] = plain(Estimate(sampling.value, total, sampling.n))
    return result


def rows_of(rows: Mapping[int, Mapping[str, Any]], name: str) -> int:
    """The number of rows that the seeds' estimate ``name`` was taken from."""
    return int(next(iter(rows.values()))[name]["n"])


def estimate_from(stored: Mapping[str, Any]) -> Estimate:
    """An estimate as it was before :func:`score_predictions` made it JSON."""
    error = math.nan if stored["error"] is None else float(stored["error"])
    return Estimate(float(stored["value"]), error, int(stored["n"]))


def plain(estimate: Estimate) -> dict[str, Any]:
    """An estimate as JSON takes it: an error that the data cannot tell is null."""
    return _finite(asdict(estimate))


def _require_both(found: Predictions) -> None:
    """Both labels wherever an AUC is taken."""
    parts = {"valid": found.valid_label} if found.has_valid else {}
    if found.oof is not None:
        fold, label = found.oof.fold, found.oof.label
        parts |= {f"fold {f} of train": label[fold == f] for f in np.unique(fold)}
    for name, labels in parts.items():
        if len(np.unique(labels)) < 2:
            raise DataError(
                f"AUC needs rows of both labels, but {name} has {plural(len(labels), 'row')} of "
                "one alone; take another split, or fewer folds"
            )


def _gauc(
    label: NDArray[np.int8], logit: NDArray[np.float64], user: NDArray[np.int64]
) -> dict[str, Any] | None:
    ones, rows = (np.bincount(number_ids(user), w) for w in (label, None))
    return plain(gauc(label, logit, user)) if ((ones > 0) & (ones < rows)).any() else None


def _alarm(oof: Estimate, valid: Estimate) -> str | None:
    gap = Estimate(oof.value - valid.value, math.hypot(oof.error, valid.error), 0)
    errors = abs(gap.z(0.0))
    if not errors >= ALARM_ERRORS:  # not a number where an error is not known: no alarm
        return None
    return (
        f"fold models' OOF AUC {oof} and valid AUC {valid} differ by {errors:.1f} errors: a leak "
        "between train rows, or valid is of another kind"
    )


def _mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """Mean of estimates on the same rows; their errors are taken as fully correlated."""
    value = float(np.mean([e.value for e in estimates]))
    return Estimate(value, float(np.mean([e.error for e in estimates])), estimates[0].n)


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON takes it: what the data cannot tell (NaN) is null."""
    lists = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in lists.items()
    }


def _nan_mean(errors: Sequence[float | None]) -> float:
    return math.nan if any(e is None for e in errors) else float(np.mean([e or 0 for e in errors]))
