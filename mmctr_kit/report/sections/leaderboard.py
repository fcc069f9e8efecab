"""The leaderboard section: the run beside its sources, or beside other runs of the same rows."""

from mmctr_kit.report.blocks import (
    MOST_ROWS,
    Picture,
    Section,
    Table,
    enumeration,
    estimate_text,
    picture,
    which_shown,
)
from mmctr_kit.report.context import ReportContext
from mmctr_kit.report.figures.rows import dots
from mmctr_kit.runs.compare import Compared


def leaderboard_section(context: ReportContext) -> Section | None:
    """AUCs with 95 % intervals, and paired differences; only if any AUC is known."""
    entries = sorted(
        context.leaderboard, key=lambda e: -best.value if (best := e.valid or e.oof) else 0.0
    )
    if not any(e.valid or e.oof for e in entries):
        return None
    beside = "the runs it blends" if context.sources else "other runs of the same rows"
    lead = (
        f"{context.run.name} and {beside}. The 95 % intervals of two runs may overlap although the "
        "runs differ clearly: compare runs by their paired difference."
    )
    if len(entries) == 1:
        lead = (
            "OOF: each train row is scored by a fold model that was not trained on it. Valid: the "
            "official rows are scored by the mean of the fold models."
        )
    notes = []
    if remade := context.run.remade_sources:
        them = enumeration(remade)
        notes.append(f"Made again since they were blended, so not what is in the blend: {them}.")
    if context.missing:
        notes.append(f"Not shown, as their folders are gone: {enumeration(context.missing)}.")
    if any(e.transductive for e in entries):
        notes.append("[T]: transductive, a row's score depends on the other rows of its user.")
    notes += _copies(entries)
    name = context.run.name
    pictures = [_figure(entries, name, gaps=False)]
    compared = [e for e in entries if e.valid_gap or e.oof_gap]
    if compared:
        pictures.append(_figure(compared, name, gaps=True))
    tables = [_table(entries, name)]
    return Section("leaderboard", "Leaderboard", lead, pictures, tables, notes=notes)


def _copies(entries: list[Compared]) -> list[str]:
    same: dict[str, list[str]] = {}
    for entry in entries:
        same.setdefault(entry.digest, []).append(entry.name)
    return [f"The same predictions: {enumeration(names)}." for names in same.values() if names[1:]]


def _figure(entries: list[Compared], subject: str, gaps: bool) -> Picture:
    """The AUCs of each run or, of ``gaps``, their paired differences to the subject."""
    every = len(entries)
    entries = [e for i, e in enumerate(entries) if i < MOST_ROWS or e.name == subject]
    which = which_shown(len(entries), every, "with the highest AUC")
    names = [_name(e) for e in entries]
    pairs = [(e.valid_gap, e.oof_gap) if gaps else (e.valid, e.oof) for e in entries]
    says = "; ".join(
        f"{name}: valid {estimate_text(valid, gaps)}, OOF {estimate_text(oof, gaps)}"
        for name, (valid, oof) in zip(names, pairs, strict=True)
    )
    labels = ("valid", "OOF") if gaps else ("valid (fold mean)", "OOF (fold models)")
    columns = zip(labels, zip(*pairs, strict=True), strict=True)
    series = {label: aucs for label, aucs in columns if any(aucs)}
    if gaps:
        axis, title = f"AUC less the AUC of {subject}", f"Difference to {subject}"
        figure = dots(names, series, axis, reference=0.0)
        caption = f"Paired. Left of the line: worse than {subject}.{which}"
        says = f"{axis}, paired, with standard errors. {says}."
        return picture(figure, "leaderboard-gaps", title, caption, says)
    figure = dots(names, series, "AUC", marked=[e.name == subject for e in entries])
    caption = (
        "Fold models and their mean are two predictors: compare valid with valid, OOF with OOF."
        f"{which}"
    )
    says = f"AUC with standard errors. {says}."
    return picture(figure, "leaderboard-auc", "AUC of each run", caption, says)


def _table(entries: list[Compared], subject: str) -> Table:
    rows = []
    for e in entries:
        gaps = (estimate_text(e.oof_gap, True), estimate_text(e.valid_gap, True), _z(e))
        seeds = str(e.seeds) if e.kind == "cv" else e.kind
        scores = (estimate_text(e.oof), estimate_text(e.valid))
        rows.append((_name(e), seeds, *scores, *(("", "", "") if e.name == subject else gaps)))
    caption = (
        f"Δ: AUC less the AUC of {subject}, paired. z: the OOF Δ (valid if there is no OOF) in "
        "standard errors. One seed is too few to compare recipes."
    )
    columns = ("run", "seeds", "OOF AUC", "valid AUC", "Δ OOF", "Δ valid", "z")
    if len(entries) == 1:
        return Table("± is one standard error.", columns[:4], [row[:4] for row in rows])
    return Table(caption, columns, rows)


def _z(entry: Compared) -> str:
    gap = entry.oof_gap or entry.valid_gap
    return "–" if gap is None else gap.z_text()


def _name(entry: Compared) -> str:
    return f"{entry.name} [T]" if entry.transductive else entry.name
