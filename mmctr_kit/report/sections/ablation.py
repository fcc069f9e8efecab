"""What each part of a recipe is worth, and costs."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmctr_kit.errors import plural
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import Grid, Picture, Section, picture, shown
from mmctr_kit.report.context import Subject
from mmctr_kit.report.figures.estimates import Dots, dots


def ablation_section(subject: Subject) -> Section | None:
    """A figure and two tables for each ablation; None where there is none."""
    if not subject.ablations:
        return None
    pictures, grids, notes = [], [], []
    for name, found in subject.ablations.items():
        base, *others = found["rows"]
        pictures.append(_figure(name, others))
        grids += [_changes(name, base, others, float(found["needed"])), _costs(name, found)]
        if len(found["seeds"]) < 3:
            notes.append(f"{name}: {len(found['seeds'])} of the 3 seeds that a claim needs.")
    return Section(
        "ablation",
        "Ablation",
        "One thing switched off or swapped at a time, on the same folds and seeds. Left of the "
        "line: the recipe is worse without it.",
        pictures,
        grids,
        notes=notes,
    )


def _figure(name: str, rows: Sequence[Mapping[str, Any]]) -> Picture:
    names = [str(row["name"]) for row in rows]
    oof, valid = ([_change(row[k]) for row in rows] for k in ("oof", "valid"))
    says = "; ".join(f"{n}: {shown(e, True)}" for n, e in zip(names, oof, strict=True))
    figure = dots(names, [Dots("OOF", oof), Dots("valid", valid)], "change in AUC", 0.0)
    caption = "Paired with the recipe as it is; bars of 95 %."
    return picture(figure, f"ablation-{name}", name, caption, f"Change in OOF AUC. {says}.")


def _changes(
    name: str, base: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], needed: float
) -> Grid:
    cells = [("base", "", shown(_change(base["oof"])), shown(_change(base["valid"])), "")]
    cells += [
        (
            str(row["name"]),
            str(row["what"]),
            shown(_change(row["oof"]), True),
            shown(_change(row["valid"]), True),
            str(row["claim"] or ""),
        )
        for row in rows
    ]
    caption = (
        f"{name}: AUC of the base, and changes against it. A claim needs {needed:.1f} errors, as "
        f"{plural(len(rows), 'variant was', 'variants were')} tried."
    )
    return Grid(caption, ("variant", "what changes", "OOF", "valid", "claim"), cells, left=2)


def _costs(name: str, found: Mapping[str, Any]) -> Grid:
    sizes = [f"{each['candidates']:,}" for each in found["rows"][0]["cost"]["latency"]]
    rows = []
    for row in found["rows"]:
        cost = row["cost"]
        times = [f"{each['p50_ms']:.2f} / {each['p99_ms']:.2f}" for each in cost["latency"]]
        speed = f"{cost['train_rows_per_second']:,.0f}"
        memory = f"{cost['memory_mb']:,.0f}"
        rows.append((str(row["name"]), f"{cost['parameters']:,}", speed, *times, memory))
    caption = (
        f"{name}: what a model costs on {found['device']}. p50 / p99 ms of a request of so many "
        "candidates; rows/s in training; peak memory."
    )
    return Grid(caption, ("variant", "weights", "rows/s", *sizes, "MB"), rows)


def _change(stored: Mapping[str, Any]) -> Estimate:
    return Estimate.from_json(stored)
