"""What a run is worth on parts of the rows: short histories, rare items, little text. Numpy only.

A slice is a choice of rows by one property, made from the data alone. Each slice's AUC is compared
with that of all other rows of its split, and pointed out where it is worse by 3 errors. Valid rows
are scored by the fold mean, OOF rows by their fold model; the two are never compared.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import PAD
from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.modalities import item_coverage
from mmctr_kit.metrics.calibration import calibration
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.subset_auc import Contrast, RankedRows
from mmctr_kit.runs.predictions import Predictions
from mmctr_kit.runs.scores import plain

SliceSplit = Literal["oof", "valid"]
Codes = NDArray[np.int8]

WORSE_ERRORS = 3.0
MIN_USERS = 10
"""A slice is pointed out only where so many users give it positives, and so many negatives: of
fewer an error is hardly known."""

_HISTORY = (1, 4, 8, 16, 32)
_HISTORY_NAMES = ("empty", "1-3", "4-7", "8-15", "16-31", "32-64")
_TAGS = ("0", "1", "2", "3+")
_QUALITY = ("present", "weak", "missing")
_SEEN = ("as a target", "in histories", "nowhere")


@dataclass(frozen=True)
class SliceColumn:
    """One property of the rows: ``names`` of its slices, and each row's index into them, (rows,)
    int8, for the OOF (train) rows and the valid rows."""

    names: tuple[str, ...]
    codes: Mapping[SliceSplit, Codes]


@dataclass(frozen=True)
class Slicing:
    """The properties by name, and those that the folder can't tell, each with the reason."""

    columns: Mapping[str, SliceColumn]
    left_out: Mapping[str, str]


def slice_columns(data: ChallengeData, fold: NDArray[np.int16]) -> Slicing:
    """The slices that every row lies in; ``fold`` (train rows,) is the run's.

    - history: items in the history, of the data (a recipe may cut it shorter).
    - popularity: train rows with the item as target, in quarters of the train rows; named by the
      counts. ``unseen``: no row that the model trained on has it; for an OOF row those are the
      other folds' rows.
    - seen: where the model saw the item: as a target, in histories alone, nowhere.
    - tags: how many tags item_info gives the item.
    - text, image: see :class:`mmctr_kit.data.modalities.Coverage`.
    """
    splits: dict[SliceSplit, Rows] = {"oof": data.train, "valid": data.valid}
    lengths = data.histories.lengths
    history = np.searchsorted(_HISTORY, lengths, side="right").astype(np.int8)
    columns = {
        "history": SliceColumn(
            _HISTORY_NAMES, {s: history[rows.history] for s, rows in splits.items()}
        )
    }
    columns |= _by_popularity(data, fold)
    tags = np.minimum((data.item_tags != PAD).sum(axis=1), len(_TAGS) - 1)
    columns["tags"] = _by_item(_TAGS, tags, splits)
    coverage = item_coverage(data)
    for name, quality in (("text", coverage.text), ("image", coverage.image)):
        if quality is not None:
            columns[name] = _by_item(_QUALITY, quality, splits)
    return Slicing(columns, coverage.unknown)


def score_slices(found: Predictions, slicing: Slicing) -> list[dict[str, Any]]:
    """One entry a slice that has rows, in the order of ``slicing``, OOF first. Keys:

    ``split`` (oof, valid), ``by``, ``slice``, ``rows``, ``positives``; ``auc``, ``rest`` (of the
    split's other rows) and ``gap`` (auc less rest) as {value, error, n}, null where one has rows of
    one label alone, an error null where too few users tell it; ``errors`` (gap over its error);
    ``mean_prediction``, ``mean_label``, ``ece``; ``worse``, and ``note`` where it is.

    The AUC of OOF rows is that of pairs within one fold
    (:class:`mmctr_kit.metrics.subset_auc.RankedRows`); the gap's
    standard error counts both sides, clustered by user, with their covariance if users have rows
    on both. Raises ValueError where the rows are not those of ``slicing``.
    """
    entries = []
    if found.oof is not None:
        oof = found.oof
        ranked = RankedRows(oof.label, oof.logit, oof.keys.user_id, oof.fold)
        entries += list(_score("oof", slicing, ranked, oof.label, oof.logit))
    if found.has_valid:
        mean = found.valid_mean()
        ranked = RankedRows(found.valid_label, mean, found.valid_keys.user_id)
        entries += list(_score("valid", slicing, ranked, found.valid_label, mean))
    return entries


def slice_metrics(data: ChallengeData, found: Predictions) -> dict[str, Any]:
    """``slices`` and ``slices_left_out`` (property -> reason) of a run's metrics.json; ``found``
    are predictions of the data's rows in their order, with OOF."""
    if found.oof is None:
        raise ValueError("slices need the folds of OOF predictions, found none")
    for keys, rows in ((found.oof.keys, data.train), (found.valid_keys, data.valid)):
        if not np.array_equal(keys.item_id, rows.item_id):
            raise ValueError("the predictions' rows are not the data's")
    slicing = slice_columns(data, found.oof.fold)
    return {
        "slices": score_slices(found, slicing),
        "slices_left_out": dict(slicing.left_out),
    }


def _by_item(
    names: tuple[str, ...], of_item: NDArray[Any], splits: Mapping[SliceSplit, Rows]
) -> SliceColumn:
    codes = of_item.astype(np.int8)
    return SliceColumn(names, {s: codes[rows.item_id] for s, rows in splits.items()})


def _by_popularity(data: ChallengeData, fold: NDArray[np.int16]) -> dict[str, SliceColumn]:
    """The columns ``popularity`` and ``seen``."""
    train, valid = data.train.item_id, data.valid.item_id
    targets = _targets(data, fold)  # (folds, items)
    total = targets.sum(axis=0)
    ordered = np.sort(total[train])
    edges = np.unique(ordered[[len(ordered) * k // 4 for k in (1, 2, 3)]])
    edges = edges[edges > ordered[0]]
    ends = [*(edges - 1).tolist(), int(ordered[-1])]
    begins = [int(ordered[0]), *edges.tolist()]
    spans = [f"{a}-{b}" if a < b else f"{a}" for a, b in zip(begins, ends, strict=True)]
    quarter = 1 + np.searchsorted(edges, total, side="right")
    shown = _shown(data, fold)
    others, elsewhere = total - targets, shown.sum(axis=0) - shown
    known = {"oof": others[fold, train] > 0, "valid": total[valid] > 0}
    inside = {"oof": elsewhere[fold, train] > 0, "valid": shown.sum(axis=0)[valid] > 0}
    popularity: dict[SliceSplit, Codes] = {}
    seen: dict[SliceSplit, Codes] = {}
    items: dict[SliceSplit, NDArray[np.int32]] = {"oof": train, "valid": valid}
    for split, item in items.items():
        popularity[split] = np.where(known[split], quarter[item], 0).astype(np.int8)
        seen[split] = np.where(known[split], 0, np.where(inside[split], 1, 2)).astype(np.int8)
    return {
        "popularity": SliceColumn(("unseen", *spans), popularity),
        "seen": SliceColumn(_SEEN, seen),
    }


def _targets(data: ChallengeData, fold: NDArray[np.int16]) -> NDArray[np.int64]:
    """(folds, n_items + 1): train rows of each fold with each item as target."""
    size = data.n_items + 1
    place = fold.astype(np.int64) * size + data.train.item_id
    return np.bincount(place, minlength=(int(fold.max()) + 1) * size).reshape(-1, size)


def _shown(data: ChallengeData, fold: NDArray[np.int16]) -> NDArray[np.int64]:
    """(folds, n_items + 1): 1 where a history of the fold's train rows holds the item."""
    shown = np.zeros((int(fold.max()) + 1, data.n_items + 1), np.int64)
    of_item = np.repeat(np.arange(len(data.histories)), data.histories.lengths)
    for f in range(len(shown)):
        used = np.zeros(len(data.histories), np.bool_)
        used[data.train.history[fold == f]] = True
        shown[f, data.histories.values[used[of_item]]] = 1
    return shown


def _score(
    split: SliceSplit,
    slicing: Slicing,
    ranked: RankedRows,
    label: NDArray[np.int8],
    logit: NDArray[np.float64],
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


def _entry(found: Contrast, label: NDArray[np.int8], logit: NDArray[np.float64]) -> dict[str, Any]:
    fit = calibration(label, logit)
    errors = None if found.gap is None else found.gap.z(0.0)
    known = errors is not None and np.isfinite(errors)
    users = min(found.positive_clusters, found.negative_clusters)
    worse = errors is not None and errors <= -WORSE_ERRORS and users >= MIN_USERS
    return {
        "rows": len(label),
        "positives": int(np.count_nonzero(label)),
        "auc": _plain(found.chosen),
        "rest": _plain(found.rest),
        "gap": _plain(found.gap),
        "errors": errors if known else None,
        "mean_prediction": fit.mean_prediction,
        "mean_label": fit.mean_label,
        "ece": fit.ece,
        "worse": worse,
        "note": _note(found) if worse else None,
    }


def _note(found: Contrast) -> str:
    assert found.gap is not None
    return f"AUC {found.chosen}, the other rows {found.rest}: {found.gap.signed()}"


def _plain(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else plain(estimate)
