"""The slices section: AUC on parts of the rows, and where the run is weak."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import Picture, Section, Table, estimate_text, picture
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.diagnostics import WeakSlice, slice_entries, sliced_run, weak_slices
from mmctr_kit.report.figures.rows import dots
from mmctr_kit.runs.slices import LEGEND, MIN_USERS, ece_text, too_few, z_text

_FEW = 6
"""How many slices are shown unfolded."""
_TITLES = {"oof": "OOF (fold models)", "valid": "Valid (fold mean)"}


def slices_section(context: ReportContext) -> Section | None:
    """A figure for OOF and for valid, and the numbers."""
    run = sliced_run(context)
    if run is None:
        return None
    metrics = slice_entries(run, context)
    entries = metrics["slices"]
    lead = (
        "AUC on parts of the rows, each compared with all other rows of its split (z: the "
        "difference in standard errors). Some slices are hard for any model: a weak slice is the "
        "run's fault only if another run is better on it."
    )
    if run.name != context.run.name:
        lead += (
            f" Shown for {run.name}, the best run of the blend by OOF: the data to slice the blend "
            "itself are not there."
        )
    figures = [_figure(split, [e for e in entries if e["split"] == split]) for split in _TITLES]
    pictures = [figure for figure in figures if figure is not None]
    notes = [*_weak(weak_slices(run, context)), *_too_few(entries)]
    notes += [f"Left out: {name} ({why})." for name, why in metrics["slices_left_out"].items()]
    return Section("slices", "Slices", lead, pictures, _tables(entries), notes=notes)


def _too_few(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    names = [f"{e['split']}, {_name(e)} ({e['rows']:,})" for e in entries if too_few(e)]
    if not names:
        return []
    return [
        f"Too few rows to judge, fewer than {MIN_USERS} positives or negatives (rows in brackets): "
        f"{'; '.join(names)}."
    ]


def _weak(weak: Sequence[WeakSlice]) -> list[str]:
    """A sentence for each weak slice, and one on those that no other run ranks better."""
    if not weak:
        return ["No slice is worse than the other rows by 3 standard errors."]
    notes = []
    for one in weak:
        text = f"{one.entry['split']}, {one.name}: {one.entry['note']}."
        if one.better is not None:
            name, auc = one.better
            text += f" {name} is better here: {auc}."
        notes.append(text)
    hard = [one.name for one in weak if one.peers and one.better is None]
    if hard:
        names = ", ".join(dict.fromkeys(hard))
        notes.append(f"No other run is clearly better on {names}: perhaps hard for any model.")
    return notes


def _figure(split: str, entries: Sequence[Mapping[str, Any]]) -> Picture | None:
    known = [e for e in entries if not too_few(e)]
    if not known:
        return None
    names, aucs = [_name(e) for e in known], [Estimate.from_json(e["auc"]) for e in known]
    marked = [bool(e["worse"]) for e in known]
    says = "; ".join(f"{n}: {auc}" for n, auc in zip(names, aucs, strict=True))
    caption = "Bars: 95 % intervals. Bold red: worse than the other rows by 3 standard errors."
    label = "OOF" if split == "oof" else split
    figure = dots(names, {label: aucs}, "AUC", marked=marked, marks_bad=True)
    return picture(figure, f"slices-{split}", _TITLES[split], caption, f"AUC by slice. {says}.")


def _tables(entries: Sequence[Mapping[str, Any]]) -> list[Table]:
    """The slices that differ most from the other rows, and all of them, folded away."""
    caption = f"{'. '.join(LEGEND)}."
    known = (e for e in entries if e["errors"] is not None and not too_few(e))
    strongest = sorted(known, key=lambda e: -abs(float(e["errors"])))[:_FEW]
    if len(entries) <= 2 * _FEW:
        return [_table(entries, caption)]
    return [
        _table(strongest, f"The {_FEW} slices that differ most from the other rows. {caption}"),
        _table(entries, caption, f"All {len(entries)} slices"),
    ]


def _table(entries: Sequence[Mapping[str, Any]], caption: str, folded: str = "") -> Table:
    rows = []
    for e in entries:
        name, auc = f"{e['split']}, {_name(e)}", estimate_text(Estimate.find(e, "auc"))
        means = (f"{e[key]:.3f}" for key in ("mean_prediction", "mean_label"))
        rows.append((name, f"{e['rows']:,}", auc, z_text(e), *means, ece_text(e)))
    columns = ("slice", "rows", "AUC", "z", "score", "label", "ECE")
    return Table(caption, columns, rows, folded=folded)


def _name(entry: Mapping[str, Any]) -> str:
    return f"{entry['by']} {entry['slice']}"
