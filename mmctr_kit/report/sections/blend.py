"""How a blend was made: the methods tried, its weights, and how alike its runs are."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.ensemble.runs import blend_report
from mmctr_kit.metrics.auc import rank_correlation
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import Grid, Picture, Section, picture, shown
from mmctr_kit.report.context import Subject
from mmctr_kit.report.figures.blend import correlations, weights
from mmctr_kit.report.figures.estimates import Dots, dots


def blend_section(subject: Subject) -> Section | None:
    """None of anything but a blend."""
    if subject.kind != "blend":
        return None
    told = blend_report(subject.run)
    made = []
    if told["weights"]:
        made.append(_weights(told["weights"]))
    adds = _estimates(told["adds"]) if "adds" in told else {}
    if adds:
        made.append(_adds(adds))
    matrix = _correlation(subject, told)
    if matrix is not None:
        made.append(_correlations(*matrix))
    if told["differences"]:
        made.append(_methods(_estimates(told["differences"])))
    grids = [_tried(told)] if told["scores"] else []
    if "group_softmax" in told:
        grids += _grouped(told["group_softmax"])
    return Section(
        "blend",
        "Blend",
        f"{told['reason'][:1].upper()}{told['reason'][1:]}. Every method was fitted on some users "
        f"and scored on the others.{_on_valid(told)}",
        made,
        grids,
    )


def _on_valid(told: Mapping[str, Any]) -> str:
    if not told.get("on_valid"):
        return ""
    gain = shown(Estimate.from_json(told["on_valid"]), True)
    return f" On valid, where fold models are averaged, it is {gain} against the mean."


def _estimates(stored: Mapping[str, Any]) -> dict[str, Estimate]:
    return {name: Estimate.from_json(value) for name, value in stored.items()}


def _weights(found: Mapping[str, float]) -> Picture:
    by = sorted(found, key=lambda name: -found[name])
    says = "; ".join(f"{name} {found[name]:.3f}" for name in by)
    return picture(
        weights(by, np.array([found[name] for name in by])),
        "blend-weights",
        "Weights",
        "Of each run's logits, after they were put on one scale.",
        f"Weights of the runs. {says}.",
    )


def _adds(found: Mapping[str, Estimate]) -> Picture:
    by = sorted(found, key=lambda name: -found[name].value)
    says = "; ".join(f"{name} {shown(found[name], True)}" for name in by)
    return picture(
        dots(by, [Dots("OOF", [found[n] for n in by])], "OOF AUC that the run adds", 0.0),
        "blend-adds",
        "What each run adds",
        "What the blend's cross-fitted AUC loses without the run. Runs that could stand in for "
        "each other each add little.",
        f"AUC of the blend less that without the run. {says}.",
    )


def _correlation(
    subject: Subject, told: Mapping[str, Any]
) -> tuple[list[str], NDArray[np.float64]] | None:
    """The blend's own where it kept one; else of the sources' valid rows, where they are there."""
    if "correlation" in told:
        kept = told["correlation"]
        return list(kept["runs"]), np.array(kept["spearman"], np.float64)
    if len(subject.sources) < 2 or subject.gone:
        return None
    each = [run.predictions().valid_mean() for run in subject.sources]
    if len({len(x) for x in each}) > 1 or len(each[0]) < 2:
        return None
    matrix = np.array([[rank_correlation(a, b) for b in each] for a in each])
    return [run.name for run in subject.sources], np.nan_to_num(matrix)


def _correlations(names: list[str], matrix: NDArray[np.float64]) -> Picture:
    pairs = [
        f"{names[i]} and {names[j]} {matrix[i, j]:.3f}"
        for i in range(len(names))
        for j in range(i + 1, len(names))
    ]
    return picture(
        correlations(names, matrix),
        "blend-correlations",
        "Rank correlation between runs",
        "Spearman's. Runs that are good and rank differently are worth most to each other.",
        f"Rank correlations: {'; '.join(pairs[:60])}.",
    )


def _methods(found: Mapping[str, Estimate]) -> Picture:
    by = sorted(found, key=lambda name: -found[name].value)
    says = "; ".join(f"{name} {shown(found[name], True)}" for name in by)
    return picture(
        dots(by, [Dots("OOF", [found[n] for n in by])], "OOF AUC less that of the mean", 0.0),
        "blend-methods",
        "Methods against the plain mean",
        "Cross-fitted and paired; to be taken, a method must lie beyond 2 errors, more where "
        "several are tried.",
        f"Cross-fitted OOF AUC less that of the plain mean. {says}.",
    )


def _tried(told: Mapping[str, Any]) -> Grid:
    scores, gaps = _estimates(told["scores"]), _estimates(told["differences"])
    rows = [
        (name, shown(score), shown(gaps[name], True) if name in gaps else "")
        for name, score in sorted(scores.items(), key=lambda pair: -pair[1].value)
    ]
    caption = "OOF AUC, cross-fitted over groups of users."
    return Grid(caption, ("method", "cross-fitted OOF AUC", "against mean"), rows)


def _grouped(told: Mapping[str, Any] | None) -> list[Grid]:
    """The group step beside the plain blend, where it was taken."""
    if told is None:
        return []
    rows = []
    for name, key in (("plain", "_plain"), ("grouped", ""), ("difference", "_difference")):
        cells = [told[f"{part}{key}"] for part in ("oof", "valid")]
        found = [None if c is None else Estimate.from_json(c) for c in cells]
        rows.append((name, *(shown(e, name == "difference") for e in found)))
    caption = (
        "Group softmax is transductive: a user's rows are scored against each other "
        f"(temperature {told['temperature']:.2f})."
    )
    return [Grid(caption, ("", "cross-fitted OOF AUC", "valid AUC"), rows)]
