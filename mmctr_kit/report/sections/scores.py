"""The sections on scores: how well they rank, whether they are probabilities, their spread."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.metrics.calibration import ece_by_chance
from mmctr_kit.metrics.curves import histograms, mean_roc, reliability, roc_curve
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Floats, Ints8
from mmctr_kit.report.blocks import Picture, Section, picture
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.figures.curves import Reliability, calibration, distributions, roc


def ranking_section(context: ReportContext) -> Section | None:
    """ROC and reliability diagrams; only if labels are known."""
    notes: list[str] = []
    pictures = [p for p in (_roc(context), _calibration(context, notes)) if p is not None]
    if not pictures:
        return None
    return Section(
        "roc",
        "ROC and calibration",
        "ROC: the share of positives above a threshold by the share of negatives above it; the "
        "area under the curve is the AUC. Calibration: ten bins of equally many rows; on the "
        "diagonal scores are probabilities, below it they are too high. AUC does not depend on "
        "calibration, logloss does.",
        pictures,
        notes=notes,
    )


def _roc(context: ReportContext) -> Picture | None:
    predictions, curves = context.predictions, {}
    valid, oof = (Estimate.find(context.metrics, name) for name in ("valid", "oof"))
    if predictions.has_valid and valid is not None:
        curve = roc_curve(predictions.valid_label, predictions.valid_mean())
        curves[f"valid, {context.predictor}: {valid}"] = curve
    if predictions.oof is not None and oof is not None:
        rows = predictions.oof
        curves[f"OOF, mean of folds: {oof}"] = mean_roc(rows.label, rows.logit, rows.fold)
    if not curves:
        return None
    says = "; ".join(f"{label}, {_at(x, y)}" for label, (x, y) in curves.items())
    caption = "The dotted diagonal is chance."
    return picture(roc(curves), "roc-curves", "ROC", caption, f"AUC. {says}.")


def _at(x: Floats, y: Floats) -> str:
    points = ", ".join(f"{np.interp(rate, x, y):.0%} at {rate:.0%}" for rate in (0.01, 0.1, 0.3))
    return f"true positive rate by false positive rate {points}"


def _scored(context: ReportContext) -> dict[str, tuple[Ints8, Floats, NDArray[Any]]]:
    """Labels, logits and users by split: those of the run itself on valid, and OOF."""
    predictions, scored = context.predictions, {}
    if predictions.has_valid:
        users = predictions.valid_keys.user_id
        scored["valid"] = (predictions.valid_label, predictions.valid_mean(), users)
    if predictions.oof is not None:
        rows = predictions.oof
        scored["OOF"] = (rows.label, rows.logit, rows.keys.user_id)
    return scored


def _calibration(context: ReportContext, notes: list[str]) -> Picture | None:
    """Reliability diagrams; adds a sentence on each to ``notes``."""
    curves, says = dict[str, Reliability](), []
    for split, (labels, logits, users) in _scored(context).items():
        name = f"valid, {context.predictor}" if split == "valid" else "OOF, fold models"
        prediction, label, se, ece = reliability(labels, logits, users)
        curves[name] = (prediction, label, se)
        points = (f"{p:.3f} -> {y:.3f}" for p, y in zip(prediction, label, strict=True))
        says.append(f"{name}: {', '.join(points)}")
        notes.append(
            f"{name}: expected calibration error (ECE) {ece:.4f}, by chance up to "
            f"{ece_by_chance(float(labels.mean()), len(labels)):.4f}; label mean "
            f"{labels.mean():.4f}."
        )
    if not curves:
        return None
    caption = "Bars: 95 % intervals, clustered by user."
    text = f"Mean prediction -> share of positives of each bin. {'; '.join(says)}."
    return picture(calibration(curves), "calibration-curves", "Calibration", caption, text)


def distribution_section(context: ReportContext) -> Section:
    """Histograms of scores by label, and by split."""
    scored = _scored(context)
    pictures = [_by_label(split, label, logit) for split, (label, logit, _) in scored.items()]
    splits = {split: logit for split, (_, logit, _) in reversed(scored.items())}
    splits["test"] = context.predictions.test_mean()
    caption = "The same models score valid and test: if these differ, their rows differ."
    pictures.append(_histograms(splits, "scores-by-split", "By split", caption))
    return Section(
        "scores",
        "Score distributions",
        "Positives should lie to the right of negatives, and test should look like valid. OOF "
        "scores are from single fold models and spread wider than their mean.",
        pictures,
    )


def _by_label(split: str, label: Ints8, scores: Floats) -> Picture:
    parts = {
        f"negatives ({np.count_nonzero(label == 0):,})": scores[label == 0],
        f"positives ({np.count_nonzero(label == 1):,})": scores[label == 1],
    }
    name, title = f"scores-by-label-{split.lower()}", f"{split[:1].upper()}{split[1:]}, by label"
    return _histograms(parts, name, title, "The less they overlap, the higher the AUC.")


def _histograms(parts: dict[str, Floats], name: str, title: str, caption: str) -> Picture:
    edges, shares = histograms(parts)
    says = "; ".join(
        f"{k}: quartiles " + ", ".join(f"{q:.2f}" for q in np.quantile(x, (0.25, 0.5, 0.75)))
        for k, x in parts.items()
        if len(x)
    )
    return picture(distributions(edges, shares), name, title, caption, f"Logits. {says}.")
