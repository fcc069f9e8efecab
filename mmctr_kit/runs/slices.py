"""A run's scores on slices of the rows: short histories, rare items, little text. Numpy only.

A slice is a choice of rows by one property, made from the data alone. Each slice's AUC is compared
with the AUC of all other rows of its split, and marked if it is worse by 3 standard errors. Valid
rows are scored by the fold mean, OOF rows by their fold model; the two are never compared.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import PAD
from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.folds import UNPREDICTED, trained_on
from mmctr_kit.data.load import load
from mmctr_kit.data.modalities import item_coverage
from mmctr_kit.errors import RunError
from mmctr_kit.metrics.calibration import calibration, ece_by_chance
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Flags, Floats, Ints, Ints16
from mmctr_kit.metrics.subset_auc import Contrast, RankedRows
from mmctr_kit.runs.predictions import Predictions
from mmctr_kit.runs.run import Run

SliceSplit = Literal["oof", "valid"]
Codes = NDArray[np.int8]

WORSE_Z = 3.0
MIN_USERS = 10
"""A slice is marked only if at least this many users have positives in it, and as many negatives:
with fewer, its standard error is hardly known."""

_HISTORY = (1, 4, 8, 16, 32)
_HISTORY_NAMES = ("empty", "1-3", "4-7", "8-15", "16-31", "32-64")
_TAGS = ("0", "1", "2", "3+")
_QUALITY = ("present", "weak", "missing")
_SEEN = ("as a target", "in histories", "nowhere")
_QUARTERS = ("first quarter", "second quarter", "third quarter", "last quarter")


@dataclass(frozen=True)
class SliceColumn:
    """One property of the rows: ``names`` of its slices, and each row's index into them.

    ``codes`` (rows,) int8, for the OOF rows and the valid rows.
    """

    names: tuple[str, ...]
    codes: Mapping[SliceSplit, Codes]


@dataclass(frozen=True)
class Slicing:
    """The properties by name, and why others are left out, by their names."""

    columns: Mapping[str, SliceColumn]
    left_out: Mapping[str, str]


def slice_columns(data: ChallengeData, fold: Ints16) -> Slicing:
    """The slices of every row, by property; ``fold`` (train rows,) is the run's.

    Train rows that are ``UNPREDICTED`` are no OOF rows.

    - history: items in the data's history (a recipe may cut it shorter).
    - popularity: train rows with the item as target, in quarters of the train rows; named by the
      counts. ``cold``: no row that the model trained on has it (OOF: the other folds' rows, or the
      earlier ones).
    - seen: where the model saw the item: as a target, only in histories, nowhere.
    - time: quarters of the split's rows by time, if the data have times.
    - tags: how many tags item_info gives the item.
    - text, image: see :class:`mmctr_kit.data.modalities.Coverage`.
    """
    splits: dict[SliceSplit, Rows] = {"oof": data.train, "valid": data.valid}
    lengths = data.histories.lengths
    history = np.searchsorted(_HISTORY, lengths, side="right").astype(np.int8)
    codes = {s: history[rows.history] for s, rows in splits.items()}
    columns = {"history": SliceColumn(_HISTORY_NAMES, codes)}
    columns |= _by_popularity(data, fold)
    tags = np.minimum((data.item_tags != PAD).sum(axis=1), len(_TAGS) - 1)
    columns["tags"] = _by_item(_TAGS, tags, splits)
    coverage = item_coverage(data)
    for name, quality in (("text", coverage.text), ("image", coverage.image)):
        if quality is not None:
            columns[name] = _by_item(_QUALITY, quality, splits)
    some = fold != UNPREDICTED
    for name, column in columns.items():
        columns[name] = replace(column, codes={**column.codes, "oof": column.codes["oof"][some]})
    times = {"oof": data.train.time, "valid": data.valid.time}
    if times["oof"] is not None and times["valid"] is not None:
        columns["time"] = SliceColumn(
            _QUARTERS, {"oof": _quarters(times["oof"][some]), "valid": _quarters(times["valid"])}
        )
    return Slicing(columns, coverage.unknown)


def _quarters(time: Ints) -> Codes:
    """Which quarter (rows,) of the rows each is in, by time; rows of one time are not divided."""
    begins = np.sort(time)[[len(time) * k // 4 for k in (1, 2, 3)]]
    return np.searchsorted(begins, time, side="right").astype(np.int8)


def score_slices(predictions: Predictions, slicing: Slicing) -> list[dict[str, Any]]:
    """One entry for each slice that has rows, in the order of ``slicing``, OOF first.

    Keys: ``split`` (oof, valid), ``by``, ``slice``, ``rows``, ``positives``; ``auc``, ``rest`` (of
    the split's other rows) and ``gap`` (auc less rest) as {value, error, n}, null if a side has one
    label only, ``error`` null if too few users tell it; ``errors`` (gap over its standard error);
    ``mean_prediction``, ``mean_label``, ``ece``; ``worse``, and a ``note`` if it is.

    The AUC of OOF rows counts pairs within one fold
    (:class:`mmctr_kit.metrics.subset_auc.RankedRows`); the gap's standard error counts both sides,
    clustered by user, with their covariance if users have rows on both. Raises ValueError if the
    rows are not those of ``slicing``.
    """
    entries = []
    if predictions.oof is not None:
        oof = predictions.oof
        ranked = RankedRows(oof.label, oof.logit, oof.keys.user_id, oof.fold)
        entries += list(_score("oof", slicing, ranked, oof.label, oof.logit))
    if predictions.has_valid:
        mean = predictions.valid_mean()
        ranked = RankedRows(predictions.valid_label, mean, predictions.valid_keys.user_id)
        entries += list(_score("valid", slicing, ranked, predictions.valid_label, mean))
    return entries


def too_few(entry: Mapping[str, Any]) -> bool:
    """Whether a slice of :func:`score_slices` has too few rows to say anything of its AUC.

    That is fewer than ``MIN_USERS`` positives or negatives.
    """
    positives = int(entry["positives"])
    least = min(positives, int(entry["rows"]) - positives)
    return least < MIN_USERS or entry["auc"] is None


def z_text(entry: Mapping[str, Any]) -> str:
    """Text of how many standard errors a slice lies above the other rows.

    A dash if it or they have one label alone, "too few" if :func:`too_few` rows judge it; ``!``
    marks a slice that is worse.
    """
    gap = Estimate.find(entry, "gap")
    if gap is None:
        return "–"
    return "too few" if too_few(entry) else gap.z_text() + " !" * bool(entry["worse"])


def ece_text(entry: Mapping[str, Any]) -> str:
    """Text of a slice's calibration error, like ``0.031``; ``~0.031`` if chance alone explains it.

    See :func:`mmctr_kit.metrics.calibration.ece_by_chance`.
    """
    ece, mean, rows = float(entry["ece"]), float(entry["mean_prediction"]), int(entry["rows"])
    return f"{'~' * (ece <= ece_by_chance(mean, rows))}{ece:.3f}"


LEGEND = (
    f"z: standard errors above (+) or below (-) the other rows' AUC; !: -{WORSE_Z:g} or less",
    f"too few: under {MIN_USERS} positives or negatives; -: one label; n/a: no standard error",
    "score: mean predicted probability; label: share of positives",
    "ECE: expected calibration error, mean |label - score| in ten bins of the score",
    "~: an ECE that chance alone explains in so few rows; it has no standard error",
)
"""What the columns of a table of slices mean."""


def slice_metrics(data: ChallengeData, predictions: Predictions) -> dict[str, Any]:
    """``slices`` and ``slices_left_out`` (property -> reason), for metrics.json.

    ``predictions`` are those of the data's rows, in their order. Without OOF they are of valid
    alone. Raises RunError if they are of other OOF rows, ValueError if of other valid rows.
    """
    fold = np.zeros(len(data.train), np.int16)
    if predictions.oof is not None:
        fold = predictions.oof.folds_of(data.train)
    same = np.array_equal(predictions.valid_keys.item_id, data.valid.item_id)
    if predictions.has_valid and not same:
        raise ValueError("the predictions' rows are not the data's")
    slicing = slice_columns(data, fold)
    return {
        "slices": score_slices(predictions, slicing),
        "slices_left_out": dict(slicing.left_out),
    }


def slices_of(run: Run, data: Path | None = None) -> dict[str, Any]:
    """``slices`` and ``slices_left_out`` of a finished run, as :func:`slice_metrics` makes them.

    A run that trained has them in its metrics. Those of a blend or an import are computed from its
    data: the folder ``data``, or by default the one that was recorded when the run, or a run that
    it blends, was made. Raises RunError if that is not known, not there, or holds other rows.
    """
    metrics = run.metrics
    if "slices" in metrics:
        return {name: metrics[name] for name in ("slices", "slices_left_out")}
    folder = recorded_data(run) if data is None else data
    if folder is None:
        raise RunError(f"which data run '{run.name}' is of was not recorded; name it with --data")
    if not folder.is_dir():
        raise RunError(f"the data of run '{run.name}' is gone from {folder}; name it with --data")
    content = load(folder)
    if content.rows_fingerprint != run.manifest.rows:
        raise RunError(f"{folder} holds other rows than run '{run.name}'; name its own data")
    return slice_metrics(content, run.predictions())


def recorded_data(run: Run) -> Path | None:
    """The data folder that was recorded for a run, or for one that it blends; None without one."""
    lineage = run.lineage
    if lineage is not None and lineage.data is not None:
        return Path(lineage.data)
    for place in run.source_places.values():
        source = Run(place)
        if source.finished and (folder := recorded_data(source)) is not None:
            return folder
    return None


def _by_item(
    names: tuple[str, ...], of_item: NDArray[Any], splits: Mapping[SliceSplit, Rows]
) -> SliceColumn:
    codes = of_item.astype(np.int8)
    return SliceColumn(names, {s: codes[rows.item_id] for s, rows in splits.items()})


def _by_popularity(data: ChallengeData, fold: Ints16) -> dict[str, SliceColumn]:
    """The columns ``popularity`` and ``seen``."""
    train, valid = data.train.item_id, data.valid.item_id
    total = np.bincount(train, minlength=data.n_items + 1)
    ordered = np.sort(total[train])
    edges = np.unique(ordered[[len(ordered) * k // 4 for k in (1, 2, 3)]])
    edges = edges[edges > ordered[0]]
    ends = [*(edges - 1).tolist(), int(ordered[-1])]
    begins = [int(ordered[0]), *edges.tolist()]
    spans = [f"{a}-{b}" if a < b else f"{a}" for a, b in zip(begins, ends, strict=True)]
    quarter = 1 + np.searchsorted(edges, total, side="right")
    models = range(int(fold.max()) + 1)
    used = [trained_on(data.train, fold, f) for f in models] if len(models) > 1 else [fold == 0]
    targets = np.stack([np.bincount(train[rows], minlength=len(total)) > 0 for rows in used])
    shown = np.stack([_in_histories(data, rows) for rows in used])
    known = {"oof": targets[fold, train], "valid": np.asarray(targets.any(axis=0))[valid]}
    inside = {"oof": shown[fold, train], "valid": np.asarray(shown.any(axis=0))[valid]}
    popularity: dict[SliceSplit, Codes] = {}
    seen: dict[SliceSplit, Codes] = {}
    items: dict[SliceSplit, NDArray[np.int32]] = {"oof": train, "valid": valid}
    for split, item in items.items():
        popularity[split] = np.where(known[split], quarter[item], 0).astype(np.int8)
        seen[split] = np.where(known[split], 0, np.where(inside[split], 1, 2)).astype(np.int8)
    return {
        "popularity": SliceColumn(("cold", *spans), popularity),
        "seen": SliceColumn(_SEEN, seen),
    }


def _in_histories(data: ChallengeData, rows: Flags) -> Flags:
    """(n_items + 1,) bool: the items in the histories of these train rows."""
    used = np.zeros(len(data.histories), np.bool_)
    used[data.train.history[rows]] = True
    shown = np.zeros(data.n_items + 1, np.bool_)
    shown[data.histories.values[np.repeat(used, data.histories.lengths)]] = True
    return shown


def _score(
    split: SliceSplit, slicing: Slicing, ranked: RankedRows, label: NDArray[np.int8], logit: Floats
) -> Iterator[dict[str, Any]]:
    for by, column in slicing.columns.items():
        codes = column.codes[split]
        if codes.shape != label.shape:
            raise ValueError(f"{len(codes)} sliced rows for {len(label)} predictions")
        for code, name in enumerate(column.names):
            rows = codes == code
            if rows.any():
                head = {"split": split, "by": by, "slice": name}
                yield head | _entry(ranked.contrast(rows), label[rows], logit[rows])


def _entry(part: Contrast, label: NDArray[np.int8], logit: Floats) -> dict[str, Any]:
    fit, gap = calibration(label, logit), part.gap
    z = math.nan if gap is None else gap.z(0.0)
    users = min(part.positive_clusters, part.negative_clusters)
    worse, note = z <= -WORSE_Z and users >= MIN_USERS, None
    if worse and gap is not None:
        note = f"AUC {part.chosen}, the other rows {part.rest}: {gap.signed()}"
    return {
        "rows": len(label),
        "positives": int(np.count_nonzero(label)),
        "auc": part.chosen and part.chosen.to_json(),
        "rest": part.rest and part.rest.to_json(),
        "gap": gap and gap.to_json(),
        "errors": z if math.isfinite(z) else None,
        "mean_prediction": fit.mean_prediction,
        "mean_label": fit.mean_label,
        "ece": fit.ece,
        "worse": worse,
        "note": note,
    }
