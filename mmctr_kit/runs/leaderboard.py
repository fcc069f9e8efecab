"""The leaderboard: runs by valid AUC, each number with its standard error."""

import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.errors import MmctrKitError, RunError, UsageError
from mmctr_kit.files import is_locked, read_columns, read_json
from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Ints
from mmctr_kit.runs.compare import PairedSample
from mmctr_kit.runs.lineage import began
from mmctr_kit.runs.notes import RunNotes, notes_on
from mmctr_kit.runs.predictions import Keys, Predictions
from mmctr_kit.runs.progress import fold_states, progress_text
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.stored import checked

Labels = Ints


@dataclass(frozen=True)
class LeaderboardRow:
    """One run's OOF, valid and, if labels are known, test AUC.

    ``behind``: valid AUC less the best run's, paired. ``recipe``: mean of the seeds' valid AUCs;
    its standard error counts the variance between seeds. ``kept``: the share of the oracle's lead
    over 0.5 that the test AUC keeps; its standard error is that of the test AUC alone. The oracle's
    own AUCs have none (NaN). ``phases``: seconds of the fold models by phase (load,
    compile, train, evaluate, write). ``state``: empty, 'unfinished', 'unreadable' or 'alarm'.
    ``transductive``: a row's prediction depends on the rows beside it. ``progress``: how far an
    unfinished run is, what a study or an ablation has, or why it is unreadable. ``alive``: a
    process is at work on it. ``began`` is a time in UTC.
    """

    name: str
    kind: str
    seeds: int
    state: str
    oof: Estimate | None = None
    valid: Estimate | None = None
    behind: Estimate | None = None
    recipe: Estimate | None = None
    test: Estimate | None = None
    kept: Estimate | None = None
    phases: Mapping[str, float] | None = None
    transductive: bool = False
    progress: str = ""
    alive: bool = False
    began: str | None = None

    @property
    def unfinished(self) -> bool:
        return self.state == "unfinished"

    @property
    def ranked(self) -> bool:
        """Whether it is a finished run, or the oracle."""
        searched = self.kind in ("study", "ablation")
        return not (searched or self.unfinished or self.state == "unreadable")

    @property
    def seconds(self) -> float | None:
        """Seconds summed over fold models, parallel or not; None if the run trained none."""
        return None if self.phases is None else sum(self.phases.values())


def leaderboard(runs: Sequence[Run], truth: Path | None = None) -> list[LeaderboardRow]:
    """Finished runs by valid AUC, best first, then the others.

    ``truth`` is the truth folder of a generated data set: it adds each run's test AUC and a row for
    the oracle, the best score that any model could have.
    """
    labels = None if truth is None else _test_labels(truth)
    parents = {run.path.parent for run in runs}
    with notes_on(parents.pop()) if len(parents) == 1 else nullcontext(RunNotes()) as notes:
        entries = [_entry(run, labels, notes) for run in runs]
        entries.sort(key=lambda entry: -entry.row.valid.value if entry.row.valid else 1.0)
        rows = _with_gaps(entries, notes)
    if truth is None or not (truth / "oracle.json").is_file():
        return rows
    aucs = read_json(truth / "oracle.json")["auc"]
    train, valid, test = (Estimate(float(aucs[s]["row"]), math.nan, 0) for s in SPLITS)
    rows = [replace(r, kept=_share(r.test, test.value - 0.5)) if r.test else r for r in rows]
    oracle = LeaderboardRow("oracle", "truth", 1, "", oof=train, valid=valid, test=test)
    return [*rows, oracle]


@dataclass
class _Entry:
    """A run with its row: ``predictions`` are None if unread or if there are none, as ``stamp``."""

    run: Run
    row: LeaderboardRow
    predictions: Predictions | None = None
    stamp: str | None = None

    def read(self) -> Predictions:
        """The valid predictions, read now if they were not yet."""
        return self.predictions or self.run.predictions(with_oof=False, with_test=False)


def _entry(run: Run, labels: Labels | None, notes: RunNotes) -> _Entry:
    """The row of a run, from the notes on it if there are any and no test scores are asked for."""
    note, stamp = notes.of(run), notes.stamp(run)
    if labels is None and "row" in note:
        row: LeaderboardRow = checked(LeaderboardRow, note["row"], run.path)
        return _Entry(run, row, stamp=stamp)
    made, predictions = _row(run, labels)
    if labels is None and predictions is not None:
        note["row"] = asdict(made)
    return _Entry(run, made, predictions, stamp)


def _with_gaps(entries: Sequence[_Entry], notes: RunNotes) -> list[LeaderboardRow]:
    """The rows, those after the first with their paired difference from it."""
    if not entries or entries[0].row.valid is None:
        return [entry.row for entry in entries]
    best, others = entries[0], entries[1:]
    noted = [_noted_gap(entry, best, notes) for entry in others]
    try:
        lacking = any(e.row.valid and not gap for e, gap in zip(others, noted, strict=True))
        sample = PairedSample(best.read()) if lacking else None
    except RunError as e:  # it was changed, and its size and times were not
        return [*_with_gaps(others, notes), _unreadable_row(best.run, e)]
    rows = [best.row]
    for entry, known in zip(others, noted, strict=True):
        try:
            if not known and sample is not None and entry.row.valid is not None:
                gap = sample.gaps(entry.read())[0]
                known = {"best": best.stamp, "value": gap and asdict(gap)}
                notes.of(entry.run)["gap"] = known
        except RunError as e:
            rows.append(_unreadable_row(entry.run, e))
            continue
        value = known["value"] if known else None
        rows.append(replace(entry.row, behind=value and checked(Estimate, value, entry.run.path)))
    return rows


def _noted_gap(entry: _Entry, best: _Entry, notes: RunNotes) -> dict[str, Any] | None:
    """The noted difference of a run from the best, None if that was of another, or is not noted."""
    note = notes.of(entry.run)
    if entry.row.valid is None or "gap" not in note or best.stamp is None:
        return None
    gap: dict[str, Any] = note["gap"]
    return gap if gap["best"] == best.stamp else None


def _unreadable_row(run: Run, error: RunError) -> LeaderboardRow:
    return LeaderboardRow(run.name, "", 0, "unreadable", progress=str(error))


def unreadable(path: Path, error: Exception) -> str:
    """Why a study or an ablation cannot be read."""
    damaged = f"'{path}' cannot be read; it is damaged, or of another version"
    return str(error) if isinstance(error, MmctrKitError) else damaged


Sort = Literal["valid", "oof", "date", "name"]


def chosen(
    rows: Sequence[LeaderboardRow],
    sort: Sort = "valid",
    kinds: Sequence[str] = (),
    names: Sequence[str] = (),
    unfinished: bool = False,
) -> list[LeaderboardRow]:
    """The rows of these kinds whose names match a pattern of ``names``, in the order of ``sort``.

    Neither restricts anything if it is empty. The latest and the highest come first, and what has
    no date or no score last. The rows are in the order of their valid AUC already.
    """
    kept = [
        row
        for row in rows
        if (not kinds or row.kind in kinds)
        and (not names or any(fnmatchcase(row.name, pattern) for pattern in names))
        and (row.unfinished or not unfinished)
    ]
    if sort == "name":
        return sorted(kept, key=lambda row: row.name)
    if sort == "date":
        return sorted(kept, key=lambda row: row.began or "", reverse=True)
    if sort == "oof":
        return sorted(kept, key=lambda row: -row.oof.value if row.oof else 1.0)
    return kept


def _row(run: Run, labels: Labels | None) -> tuple[LeaderboardRow, Predictions | None]:
    try:
        manifest = run.manifest
        seeds = max(1, len(manifest.seeds))
        if not run.finished:
            state = LeaderboardRow(
                run.name,
                manifest.kind,
                seeds,
                "unfinished",
                progress=_progress(run),
                alive=is_locked(run.path),
                began=began(run.path, "manifest.json"),
            )
            return state, None
        # No OOF, and test only until it is scored: a hundred runs would fill the memory.
        predictions = run.predictions(with_oof=False, with_test=labels is not None)
        metrics = run.metrics
        timings = run.timings
    except RunError as e:
        # One damaged folder must not hide the others.
        return _unreadable_row(run, e), None
    test, keys = None, predictions.test_keys
    if labels is not None and len(labels) == len(keys):  # else those of another data set
        test = auc_with_se(labels, predictions.test_mean(), keys.user_id)
    row = LeaderboardRow(
        run.name,
        manifest.kind,
        seeds,
        "alarm" if metrics["alarm"] else "",
        oof=Estimate.find(metrics, "oof"),
        valid=Estimate.find(metrics, "valid"),
        recipe=Estimate.find(metrics, "recipe_valid"),
        test=test,
        phases=timings.get("phase_seconds"),
        transductive=manifest.transductive,
        began=began(run.path, "manifest.json"),
    )
    none = np.zeros((len(predictions.test), 0))
    return row, replace(predictions, test_keys=Keys.none(), test=none)


def _progress(run: Run) -> str:
    try:
        return progress_text(fold_states(run))
    except RunError:  # it has no recipe to read
        return ""


def _share(test: Estimate, lead: float) -> Estimate:
    return Estimate((test.value - 0.5) / lead, test.se / lead, test.n)


def _test_labels(truth: Path) -> Labels:
    path = truth / "test_labels.parquet"
    if not path.is_file():
        raise UsageError(f"no {path}; --truth takes the truth folder that 'data synth' wrote")
    columns = read_columns(path)
    return np.asarray(columns["label"][np.argsort(columns["ID"])])
