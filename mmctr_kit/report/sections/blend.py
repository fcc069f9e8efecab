"""The blend section: the methods tried, the weights, and how differently the runs rank."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from mmctr_kit.ensemble.runs import blend_report
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import (
    MOST_ROWS,
    Picture,
    Section,
    Table,
    estimate_text,
    largest,
    picture,
    sentence,
    which_shown,
)
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.figures.rows import bars, correlations, dots

_MOST_SQUARES = 30
"""How many runs the figure of correlations shows: of more, its squares are too small to see."""


def blend_section(context: ReportContext) -> Section | None:
    """Only for a blend."""
    if context.kind != "blend":
        return None
    blend = blend_report(context.run)
    adds, differences = _estimates(blend["adds"]), _estimates(blend["differences"])
    pictures = [
        *_weights(blend["weights"] or {}),
        *_gains(
            adds,
            "blend-adds",
            "What each run adds",
            "OOF AUC that the run adds",
            "The blend's cross-fitted AUC less its AUC without the run. Runs that can replace each "
            "other add little each.",
        ),
        _correlations(blend["correlation"], blend["weights"] or {}),
        *_gains(
            differences,
            "blend-methods",
            "Methods against the plain mean",
            "OOF AUC less the mean's",
            "Cross-fitted and paired. A method is chosen only if it is better by 2 standard "
            "errors, or more if several are tried.",
        ),
    ]
    tables = [_tried(blend, differences)] if blend["scores"] else []
    if max(len(adds), len(blend["weights"] or {})) > MOST_ROWS:
        tables.append(_runs(blend["weights"] or {}, adds))
    if blend["group_softmax"] is not None:
        tables.append(_group_softmax(blend["group_softmax"]))
    lead = (
        f"{sentence(blend['reason'])} Every method was fitted on some users and scored on the "
        "others."
    )
    on_valid = Estimate.find(blend, "on_valid")
    if on_valid is not None:
        lead += f" Check on the valid split: {on_valid.signed()} over the plain mean."
    over_best = Estimate.find(blend, "over_best")
    if over_best is not None:
        lead += (
            f" On the valid split: {over_best.signed()} over {blend['best_run']} alone, the best "
            "run by OOF AUC."
        )
    return Section("blend", "Blend", lead, pictures, tables)


def _estimates(stored: Mapping[str, Any]) -> dict[str, Estimate]:
    """The stored estimates, the highest first."""
    each = {name: Estimate.from_json(value) for name, value in stored.items()}
    return dict(sorted(each.items(), key=lambda pair: -pair[1].value))


def _weights(weights: Mapping[str, float]) -> Iterator[Picture]:
    names = sorted(weights, key=lambda name: -weights[name])[:MOST_ROWS]
    says = "; ".join(f"{name} {weights[name]:.3f}" for name in names)
    if names:
        figure = bars(names, np.array([weights[name] for name in names]), "weight")
        caption = "Weights of the runs' logits, after these were put on one scale."
        caption += which_shown(len(names), len(weights), "with the largest weights")
        yield picture(figure, "blend-weights", "Weights", caption, f"Weights of the runs. {says}.")


def _gains(
    gains: Mapping[str, Estimate], name: str, title: str, axis: str, text: str
) -> Iterator[Picture]:
    names = largest([*gains], lambda key: abs(gains[key].value))
    says = "; ".join(f"{key} {gains[key].signed()}" for key in names)
    if gains:
        figure = dots(names, {"OOF": [gains[key] for key in names]}, axis, 0.0)
        text += which_shown(len(names), len(gains), "that differ most from 0")
        yield picture(figure, name, title, text, f"{axis}. {says}.")


def _correlations(stored: Mapping[str, Any], weights: Mapping[str, float]) -> Picture:
    """A square for each pair of runs, of many runs those with the largest weights."""
    every, matrix = list(stored["runs"]), np.array(stored["spearman"], np.float64)
    shown = largest([*range(len(every))], lambda i: weights.get(every[i], 0.0), _MOST_SQUARES)
    names, matrix = [every[i] for i in shown], matrix[np.ix_(shown, shown)]
    pairs = [
        f"{names[i]} and {names[j]} {matrix[i, j]:.3f}"
        for i, j in zip(*np.triu_indices(len(names), 1), strict=True)
    ]
    figure, title = correlations(names, matrix), "Rank correlation between runs"
    caption = "Spearman's. Good runs that rank differently help each other most."
    if len(names) < len(every):
        caption += f" The {len(names)} of {len(every)} runs with the largest weights."
    says = f"Rank correlations: {'; '.join(pairs[:60])}."
    return picture(figure, "blend-correlations", title, caption, says)


def _tried(blend: Mapping[str, Any], differences: Mapping[str, Estimate]) -> Table:
    rows = [
        (name, str(score), differences[name].signed() if name in differences else "")
        for name, score in _estimates(blend["scores"]).items()
    ]
    caption = "OOF AUC, cross-fitted over groups of users."
    return Table(caption, ("method", "cross-fitted OOF AUC", "against mean"), rows)


def _runs(weights: Mapping[str, float], adds: Mapping[str, Estimate]) -> Table:
    """Every run's weight and what it adds, of more runs than the figures show."""
    names = sorted({**weights, **adds}, key=lambda name: -weights.get(name, 0.0))
    rows = [
        (
            name,
            f"{weights[name]:.3f}" if name in weights else "–",
            estimate_text(adds.get(name), True),
        )
        for name in names
    ]
    caption = "The weight of each run's logits, and the OOF AUC that the run adds."
    return Table(caption, ("run", "weight", "adds"), rows, folded=f"{len(rows)} runs")


def _group_softmax(group: Mapping[str, Any]) -> Table:
    rows = []
    for name, suffix in (("plain", "_plain"), ("grouped", ""), ("difference", "_difference")):
        cells = [Estimate.find(group, f"{part}{suffix}") for part in ("oof", "valid")]
        rows.append((name, *(estimate_text(e, name == "difference") for e in cells)))
    caption = (
        "Group softmax is transductive: a user's rows are scored against each other "
        f"(temperature {group['temperature']:.2f})."
    )
    return Table(caption, ("", "cross-fitted OOF AUC", "valid AUC"), rows)
