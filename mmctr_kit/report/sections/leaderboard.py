"""The run beside its sources, or beside other runs of the same rows."""

from collections.abc import Iterator

from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.report.blocks import Grid, Picture, Section, listed, picture, shown
from mmctr_kit.report.context import Subject
from mmctr_kit.report.figures.estimates import Dots, dots
from mmctr_kit.runs.compare import Compared


def board_section(subject: Subject) -> Section | None:
    """AUCs with their 95 % bars, and paired differences; None where there is no AUC at all."""
    entries = sorted(subject.board, key=_worth)
    if not any(e.valid or e.oof for e in entries):
        return None
    of = "the runs it is made of" if subject.sources else "other runs of the same rows"
    lead = (
        f"{subject.run.name} and {of}. Bars reach 1.96 errors either way. Bars of two runs may "
        "overlap and the runs still differ: what counts is the paired difference, which is taken "
        "row by row."
    )
    if len(entries) == 1:
        lead = (
            "OOF: each train row scored by a fold model. Valid: the official rows, by their mean."
        )
    notes = []
    if subject.gone:
        notes.append(f"Not there any more, and so not shown: {listed(subject.gone)}.")
    if any(e.transductive for e in entries):
        notes.append("[T]: transductive, a row's score depends on the rows beside it.")
    notes += _copies(entries)
    return Section(
        "leaderboard",
        "Leaderboard",
        lead,
        list(_pictures(entries, subject.run.name)),
        [_grid(entries, subject.run.name)],
        notes=notes,
    )


def _copies(entries: list[Compared]) -> list[str]:
    same: dict[str, list[str]] = {}
    for entry in entries:
        same.setdefault(entry.digest, []).append(entry.name)
    return [f"The same predictions: {listed(names)}." for names in same.values() if names[1:]]


def _worth(entry: Compared) -> float:
    best = entry.valid or entry.oof
    return -best.value if best else 0.0


def _pictures(entries: list[Compared], own: str) -> Iterator[Picture]:
    names = [_name(e) for e in entries]
    series = [
        Dots("valid (fold mean)", [e.valid for e in entries]),
        Dots("OOF (fold models)", [e.oof for e in entries]),
    ]
    series = [s for s in series if any(s.estimates)]
    mine = [e.name == own for e in entries]
    says = "; ".join(f"{_name(e)}: valid {shown(e.valid)}, OOF {shown(e.oof)}" for e in entries)
    yield picture(
        dots(names, series, "AUC", marked=mine),
        "board-auc",
        "AUC of each run",
        "Fold models and their mean are two predictors: compare like with like.",
        f"AUC with standard errors. {says}.",
    )
    others = [e for e in entries if e.valid_gap or e.oof_gap]
    if others:
        yield _gaps(others, own)


def _gaps(others: list[Compared], own: str) -> Picture:
    gaps = [
        Dots("valid", [e.valid_gap for e in others]),
        Dots("OOF", [e.oof_gap for e in others]),
    ]
    series = [s for s in gaps if any(s.estimates)]
    says = "; ".join(
        f"{_name(e)}: valid {shown(e.valid_gap, True)}, OOF {shown(e.oof_gap, True)}"
        for e in others
    )
    return picture(
        dots([_name(e) for e in others], series, f"AUC less that of {own}", reference=0.0),
        "board-gaps",
        f"Difference to {own}",
        "Paired. Left of the line: worse than this page's run.",
        f"AUC less that of {own}, paired, with standard errors. {says}.",
    )


def _grid(entries: list[Compared], own: str) -> Grid:
    columns = ("run", "seeds", "OOF AUC", "valid AUC", "OOF gap", "valid gap", "errors")
    rows = [
        (
            _name(e),
            str(e.seeds) if e.kind == "cv" else e.kind,
            shown(e.oof),
            shown(e.valid),
            "" if e.name == own else shown(e.oof_gap, True),
            "" if e.name == own else shown(e.valid_gap, True),
            "" if e.name == own else _errors(e.oof_gap or e.valid_gap),
        )
        for e in entries
    ]
    caption = (
        f"Gap: AUC less that of {own}, paired. Errors: how many standard errors the OOF gap "
        "(valid where there is none) lies from 0; one seed each proves nothing of the recipes."
    )
    return Grid(caption, columns, rows)


def _errors(gap: Estimate | None) -> str:
    if gap is None or not abs(gap.z(0.0)) < 1e6:
        return "–"
    return f"{gap.z(0.0):+.1f}"


def _name(entry: Compared) -> str:
    return f"{entry.name} [T]" if entry.transductive else entry.name
