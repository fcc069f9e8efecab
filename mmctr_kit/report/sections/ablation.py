"""The ablation section: what each part of a recipe adds, and what it costs."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmctr_kit.errors import plural
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import Picture, Section, Table, estimate_text, picture
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.figures.rows import dots

_AUCS = ("oof", "valid", "cold", "warm")


def ablation_section(context: ReportContext) -> Section | None:
    """A figure and two tables for each ablation."""
    if not context.ablations:
        return None
    pictures, tables, notes = [], [], []
    for name, ablation in context.ablations.items():
        base, *variants = ablation["rows"]
        pictures.append(_figure(name, variants))
        tables.append(_changes(name, base, variants, float(ablation["needed"])))
        tables.append(_costs(name, ablation))
        if len(ablation["seeds"]) < 3:
            seeds = plural(len(ablation["seeds"]), "seed")
            notes.append(f"{name}: {seeds}; a verdict (better or worse) needs 3 or more.")
    return Section(
        "ablation",
        "Ablation",
        "One part of the recipe switched off or replaced at a time, on the same folds and seeds. "
        "Left of the line the recipe is worse for it.",
        pictures,
        tables,
        notes=notes,
    )


def _figure(name: str, rows: Sequence[Mapping[str, Any]]) -> Picture:
    names = [str(row["name"]) for row in rows]
    oof, valid = ([Estimate.from_json(row[k]) for row in rows] for k in ("oof", "valid"))
    says = "; ".join(f"{n}: {e.signed()}" for n, e in zip(names, oof, strict=True))
    figure = dots(names, {"OOF": oof, "valid": valid}, "change in AUC", 0.0)
    caption = "Paired differences to the base recipe, with 95 % intervals."
    return picture(figure, f"ablation-{name}", name, caption, f"Change in OOF AUC. {says}.")


def _changes(
    name: str, base: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], needed: float
) -> Table:
    cells = [("base", "", *(estimate_text(Estimate.find(base, k)) for k in _AUCS), "")]
    for row in rows:
        gaps = (estimate_text(Estimate.find(row, k), True) for k in _AUCS)
        cells.append((str(row["name"]), str(row["what"]), *gaps, str(row["claim"] or "")))
    caption = (
        f"{name}: AUC of the base, and paired changes. A verdict needs a change of {needed:.1f} "
        f"standard errors, as {plural(len(rows), 'variant was', 'variants were')} tried."
    )
    caption += (
        " Cold and warm are OOF: the quarter of the rows with the rarest targets, and the others."
    )
    columns = ("variant", "what changes", "OOF", "valid", "cold", "warm", "verdict")
    return Table(caption, columns, cells, left=2)


def _costs(name: str, ablation: Mapping[str, Any]) -> Table:
    sizes = [f"latency, {each['candidates']:,}" for each in ablation["rows"][0]["cost"]["latency"]]
    rows = []
    for row in ablation["rows"]:
        cost = row["cost"]
        times = [f"{each['p50_ms']:.2f} / {each['p99_ms']:.2f}" for each in cost["latency"]]
        speed = f"{cost['train_rows_per_second']:,.0f}"
        memory = f"{cost['memory_mb']:,.0f}"
        rows.append((str(row["name"]), f"{cost['parameters']:,}", speed, *times, memory))
    caption = (
        f"{name}: cost of one model on {ablation['device']}. Training rows/s; latency (p50 / p99 "
        "in ms) of a request by its number of candidates; peak memory."
    )
    return Table(caption, ("variant", "weights", "rows/s", *sizes, "MB"), rows)
