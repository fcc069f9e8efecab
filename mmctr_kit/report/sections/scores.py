"""How well the scores rank (ROC), how far they are probabilities, and how they are spread."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.metrics.curves import Floats, histograms, mean_roc, reliability, roc_curve
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import Picture, Section, picture, shown
from mmctr_kit.report.context import Subject
from mmctr_kit.report.figures.curves import roc
from mmctr_kit.report.figures.scores import Reliability, calibration, distributions


def ranking_section(subject: Subject) -> Section | None:
    """ROC and reliability diagrams; None where no labels are known."""
    notes: list[str] = []
    made = [_roc(subject), _calibration(subject, notes)]
    pictures = [p for p in made if p is not None]
    if not pictures:
        return None
    return Section(
        "roc",
        "ROC and calibration",
        "ROC: the share of positives found for the share of negatives let through; its area is the "
        "AUC. Calibration: ten bins of as many rows each; on the diagonal a score is a "
        "probability, below it scores are too high. AUC does not see that, logloss does.",
        pictures,
        notes=notes,
    )


def _roc(subject: Subject) -> Picture | None:
    found, curves = subject.found, {}
    of_valid = Estimate.find(subject.metrics, "valid")
    of_oof = Estimate.find(subject.metrics, "oof")
    if found.has_valid and of_valid is not None:
        label = f"valid, fold mean: {shown(of_valid)}"
        curves[label] = roc_curve(found.valid_label, found.valid_mean())
    if found.oof is not None and of_oof is not None:
        label = f"OOF, mean of folds: {shown(of_oof)}"
        curves[label] = mean_roc(found.oof.label, found.oof.logit, found.oof.fold)
    if not curves:
        return None
    says = "; ".join(f"{label}, {_at(x, y)}" for label, (x, y) in curves.items())
    caption = "The dotted diagonal is chance."
    return picture(roc(curves), "roc-curves", "ROC", caption, f"AUC. {says}.")


def _at(x: Floats, y: Floats) -> str:
    points = ", ".join(f"{np.interp(rate, x, y):.0%} at {rate:.0%}" for rate in (0.01, 0.1, 0.3))
    return f"true positive rate by false positive rate {points}"


def _calibration(subject: Subject, notes: list[str]) -> Picture | None:
    """Adds a line on each of the curves to ``notes``."""
    found, curves = subject.found, {}
    parts: dict[str, tuple[NDArray[Any], Floats, NDArray[Any]]] = {}
    if found.has_valid:
        mean = found.valid_mean()
        parts["valid, fold mean"] = (found.valid_label, mean, found.valid_keys.user_id)
    if found.oof is not None:
        parts["OOF, fold models"] = (found.oof.label, found.oof.logit, found.oof.keys.user_id)
    for name, (labels, logits, users) in parts.items():
        prediction, label, error, ece = reliability(labels, logits, users)
        curves[name] = Reliability(prediction, label, error)
        notes.append(f"{name}: calibration error (ECE) {ece:.4f}, label mean {labels.mean():.4f}.")
    if not curves:
        return None
    says = "; ".join(
        f"{name}: "
        + ", ".join(f"{p:.3f} -> {y:.3f}" for p, y in zip(r.prediction, r.label, strict=True))
        for name, r in curves.items()
    )
    return picture(
        calibration(curves),
        "calibration-curves",
        "Calibration",
        "Bars: 95 %, users clustered.",
        f"Mean prediction -> share of positives of each bin. {says}.",
    )


def spread_section(subject: Subject) -> Section:
    """Scores by label, and by split."""
    found, made = subject.found, []
    splits: dict[str, Floats] = {}
    if found.oof is not None:
        splits["OOF"] = found.oof.logit
    if found.has_valid:
        splits["valid"] = found.valid_mean()
        made.append(_by_label("valid", found.valid_label, splits["valid"]))
    splits["test"] = found.test_mean()
    if found.oof is not None:
        made.append(_by_label("OOF", found.oof.label, splits["OOF"]))
    made.append(
        _spread(
            splits,
            "scores-by-split",
            "By split",
            "Valid and test are both scored by the fold mean: where they lie apart, test is of "
            "another kind than valid.",
        )
    )
    return Section(
        "scores",
        "Score distributions",
        "How the logits are spread: positives should stand to the right of negatives, and test "
        "should look like valid. OOF comes from single fold models, which spread wider than their "
        "mean.",
        made,
    )


def _by_label(split: str, label: NDArray[np.int8], scores: Floats) -> Picture:
    parts = {
        f"negatives ({np.count_nonzero(label == 0):,})": scores[label == 0],
        f"positives ({np.count_nonzero(label == 1):,})": scores[label == 1],
    }
    name = f"scores-by-label-{split.lower()}"
    return _spread(parts, name, f"{split}, by label", "The less they overlap, the higher the AUC.")


def _spread(parts: dict[str, Floats], name: str, title: str, caption: str) -> Picture:
    edges, shares = histograms(parts)
    says = "; ".join(
        f"{k}: quartiles " + ", ".join(f"{q:.2f}" for q in np.quantile(x, (0.25, 0.5, 0.75)))
        for k, x in parts.items()
        if len(x)
    )
    return picture(distributions(edges, shares), name, title, caption, f"Logits. {says}.")
