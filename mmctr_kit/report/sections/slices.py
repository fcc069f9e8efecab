"""Where a run is weak: AUC by slice."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import Grid, Picture, Section, picture, shown
from mmctr_kit.report.context import Subject
from mmctr_kit.report.diagnostics import Weak, sliced_run, weak_slices
from mmctr_kit.report.figures.estimates import Dots, dots

_FEW = 6
"""So many slices are shown unfolded."""

_TITLES = {"oof": "OOF (fold models)", "valid": "valid (fold mean)"}


def slices_section(subject: Subject) -> Section | None:
    """A dot plot for OOF and for valid, and the numbers."""
    run = sliced_run(subject)
    if run is None:
        return None
    metrics = run.metrics
    entries, lacking = metrics["slices"], metrics["slices_left_out"]
    lead = (
        "AUC on parts of the rows. A slice's errors are those by which it lies from all other rows "
        "of its split; at -3 it is pointed out. Some slices are harder than others for any model: "
        "a low one speaks against the run where another run does better there."
    )
    if run.name != subject.run.name:
        lead += f" Shown for {run.name}, the best single run by OOF: a blend has no slices."
    made = [_figure(split, [e for e in entries if e["split"] == split]) for split in _TITLES]
    notes = _weak(weak_slices(run, subject))
    notes += [f"Left out: {name} ({why})." for name, why in lacking.items()]
    return Section(
        "slices",
        "Slices",
        lead,
        [p for p in made if p is not None],
        _grids(entries),
        notes=notes,
    )


def _weak(found: Sequence[Weak]) -> list[str]:
    """A line for each weak slice, and what the other runs say of them."""
    if not found:
        return ["No slice is worse than the other rows by 3 errors."]
    notes, hard = [], [w for w in found if w.peers and w.better is None]
    for weak in found:
        text = f"{weak.entry['split']}, {weak.name}: {weak.entry['note']}."
        if weak.better is not None:
            name, auc = weak.better
            text += f" {name} has {shown(auc)} there."
        notes.append(text)
    if hard:
        which = "these" if len(hard) == len(found) else "the others"
        several = len(hard) > 1
        notes.append(
            f"On {which if several or len(hard) < len(found) else 'this'} no other run here does "
            f"clearly better: {'they' if several else 'it'} may be hard for any model."
        )
    return notes


def _figure(split: str, entries: Sequence[Mapping[str, Any]]) -> Picture | None:
    known = [e for e in entries if e["auc"] is not None and e["auc"]["error"] is not None]
    if not known:
        return None
    says = "; ".join(f"{_name(e)}: {shown(_auc(e))}" for e in known)
    figure = dots(
        [_name(e) for e in known],
        [Dots(split, [_auc(e) for e in known])],
        "AUC",
        marked=[bool(e["worse"]) for e in known],
        marks_bad=True,
    )
    caption = "Bars: 95 %. Bold red names: worse than the other rows by 3 errors."
    return picture(figure, f"slices-{split}", _TITLES[split], caption, f"AUC by slice. {says}.")


def _grids(entries: Sequence[Mapping[str, Any]]) -> list[Grid]:
    """The slices that lie farthest from the other rows, and all of them, folded away."""
    caption = "! is worse than the other rows by 3 errors or more."
    far = sorted(
        (e for e in entries if e["errors"] is not None), key=lambda e: -abs(float(e["errors"]))
    )
    if len(entries) <= 2 * _FEW:
        return [_grid(entries, caption)]
    return [
        _grid(far[:_FEW], f"The {_FEW} that lie farthest from the other rows. {caption}"),
        _grid(entries, caption, f"All {len(entries)} slices"),
    ]


def _grid(entries: Sequence[Mapping[str, Any]], caption: str, folded: str = "") -> Grid:
    rows = [
        (
            f"{e['split']}, {_name(e)}",
            f"{e['rows']:,}",
            shown(_auc(e)),
            "–" if e["errors"] is None else f"{e['errors']:+.1f}" + " !" * bool(e["worse"]),
            f"{e['mean_prediction']:.3f}",
            f"{e['mean_label']:.3f}",
            f"{e['ece']:.3f}",
        )
        for e in entries
    ]
    columns = ("slice", "rows", "AUC", "errors", "mean prediction", "mean label", "ECE")
    return Grid(caption, columns, rows, folded=folded)


def _name(entry: Mapping[str, Any]) -> str:
    return f"{entry['by']} {entry['slice']}"


def _auc(entry: Mapping[str, Any]) -> Estimate | None:
    return Estimate.find(entry, "auc")
