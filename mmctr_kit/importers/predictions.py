"""Predictions made elsewhere as a run: for test and, if given, for valid and OOF."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mmctr_kit import __version__
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import fold_fingerprint
from mmctr_kit.data.hashing import fingerprint
from mmctr_kit.errors import DataError, UsageError, plural
from mmctr_kit.files import locked
from mmctr_kit.metrics.ranks import Floats, Ints16
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.predictions import Keys, Predictions, keys_of, predictions_for
from mmctr_kit.runs.run import Run, is_run
from mmctr_kit.runs.scores import score_predictions
from mmctr_kit.runs.writer import begin_run
from mmctr_kit.submission.check import read_scores
from mmctr_kit.submission.score import integers, numbers, read_frame, task_column

if TYPE_CHECKING:
    import pandas as pd


_SCORE_COLUMNS = ("logit", "probability", "score", "prediction")
_MAX_FOLDS = 100


def run_of(file: Path, role: Literal["test", "valid", "oof"]) -> str | None:
    """The name of the run whose own predictions ``file`` is; None if it is of none.

    Raises UsageError if they are not those of ``role``.
    """
    if file.name not in ("test.parquet", "valid.parquet", "oof.parquet") or not is_run(file.parent):
        return None
    name = file.parent.resolve().name
    if file.stem != role:
        raise UsageError(
            f"'{file}' holds the {file.stem} predictions of run '{name}'; expected {role} "
            f"predictions, as in '{file.with_stem(role)}'"
        )
    return name


def import_predictions(
    data: ChallengeData,
    test: Path,
    valid: Path | None,
    oof: Path | None,
    task: str | None,
    path: Path,
    force: bool,
) -> Run | None:
    """Write the predictions as a run at ``path``; None if the same run is there already.

    ``test`` is a submission (zip or CSV), or a parquet or CSV file with ID; ``valid`` and ``oof``
    are parquet or CSV files with user_id, item_id and, if a pair occurs twice, occurrence. The
    scores are in a column logit, or probability, score or prediction (in [0, 1]); beside a logit,
    a probability or score is not read. ``oof`` also has a column fold, the same for all rows of a
    user. Probabilities become logits; 0 and 1 are placed one logit beyond the others.

    Without ``valid`` the run has no valid rows, so no valid AUC. The files hold fold means for
    valid and test, and no fold model's scores. So the metrics have no ``fold_models_valid`` and no
    ``alarm``, which compares fold models.

    Raises DataError if a row has no score or several.
    """
    test_logit = _test_logits(test, len(data.test), task)
    valid_logit, oof_logit, fold = None, None, None
    if valid is not None:
        frame = _by_key(valid, keys_of(data.valid))
        valid_logit = _logits(frame, valid)
    if oof is not None:
        frame = _by_key(oof, keys_of(data.train))
        oof_logit, fold = _logits(frame, oof), _folds(frame, oof)
    folds = 1 if fold is None else int(fold.max()) + 1
    valid_folds = None if valid_logit is None else np.tile(valid_logit, (folds, 1))
    rows = predictions_for(data, oof_logit, fold, valid_folds, np.tile(test_logit, (folds, 1)))
    if rows.oof is not None and not rows.oof.by_user:
        raise DataError(
            f"{oof} puts rows of one user into several folds, so each was predicted by a model "
            "that saw its siblings; expected folds grouped by user"
        )
    scores = score_predictions(rows)
    scores.pop("fold_models_valid", None)
    scores["alarm"] = None
    recipe = fingerprint("imported", rows.digest())
    known = "" if fold is None else fold_fingerprint(fold)
    return write_import(data, rows, scores, path, force, recipe=recipe, folds=known)


def write_import(
    data: ChallengeData,
    predictions: Predictions,
    scores: dict[str, Any],
    path: Path,
    force: bool,
    *,
    recipe: str,
    features: str = "",
    folds: str = "",
    recipe_yaml: str | None = None,
) -> Run | None:
    """Write a run made elsewhere, with its manifest's fingerprints; None if it is there already."""
    manifest = Manifest(
        kind="imported",
        rows=data.rows_fingerprint,
        features=features,
        folds=folds,
        recipe=recipe,
        environment={"mmctr_kit": __version__, "numpy": np.__version__},
    )
    with locked(path):
        writer = begin_run(path, manifest, recipe_yaml, force, data.folder)
        return None if writer is None else writer.finish(predictions, scores, {})


def _test_logits(path: Path, rows: int, task: str | None) -> Floats:
    if _is_table(path):
        frame = read_frame(path, "predictions")
        ids, logits = integers(frame, "ID", path), _logits(frame, path)
    else:
        content = read_scores(path)
        ids, logits = content.ids, _to_logit(task_column(content, task), path)
    if not np.array_equal(np.sort(ids), np.arange(rows)):
        raise DataError(
            f"{path} holds {plural(len(ids), 'ID')}; expected each of 0..{rows - 1} once"
        )
    return np.asarray(logits[np.argsort(ids)])


def _is_table(path: Path) -> bool:
    """Whether the score column has one of our names, and not a submission's."""
    if path.suffix == ".parquet" or not path.is_file():
        return True
    with path.open("rb") as handle:
        header = handle.readline(4096)
    names = {name.strip(b' "\r\n').decode("latin-1") for name in header.split(b",")}
    return not names.isdisjoint(_SCORE_COLUMNS)


def _logits(frame: "pd.DataFrame", path: Path) -> Floats:
    named = [c for c in _SCORE_COLUMNS if c in frame.columns]
    if "logit" in named and "prediction" not in named:
        named = ["logit"]  # the others are made of it, as in a file that ``predict`` wrote
    if len(named) != 1:
        todo = f"; leave out all but one of {', '.join(named)}" if named else ""
        raise DataError(
            f"{path} has {len(named)} score columns; expected one of {', '.join(_SCORE_COLUMNS)}, "
            f"found {', '.join(frame.columns)}{todo}"
        )
    values = numbers(frame, named[0], path).astype(np.float64)
    return values if named[0] == "logit" else _to_logit(values, path)


def _to_logit(values: Floats, path: Path) -> Floats:
    """(n,) finite logits in the order of (n,) probabilities; 0 and 1 stay distinct."""
    if ((values < 0) | (values > 1)).any():
        raise DataError(f"{path}: scores outside [0, 1]; name the column logit if they are logits")
    inside = (values > 0) & (values < 1)
    logits = np.empty(len(values))
    logits[inside] = np.log(values[inside]) - np.log1p(-values[inside])
    # Just beyond the others: as infinities they would drown every other score in a mean.
    logits[values == 0] = logits[inside].min(initial=0.0) - 1.0
    logits[values == 1] = logits[inside].max(initial=0.0) + 1.0
    return logits


def _by_key(path: Path, keys: Keys) -> "pd.DataFrame":
    """The file's rows in the order of ``keys``."""
    frame = read_frame(path, "predictions")
    user, item = integers(frame, "user_id", path), integers(frame, "item_id", path)
    occurrence = np.zeros(len(frame), np.int64)
    if "occurrence" in frame.columns:
        occurrence = integers(frame, "occurrence", path)
    rows, order = np.lexsort((occurrence, item, user)), keys.order()
    for values, name in ((user, "user_id"), (item, "item_id"), (occurrence, "occurrence")):
        if not np.array_equal(values[rows], getattr(keys, name)[order]):
            raise DataError(
                f"{path} holds {plural(len(frame), 'row')}; expected each of the {len(keys):,} "
                "rows (user_id, item_id, occurrence) once; a pair that occurs twice needs the "
                "column occurrence"
            )
    return frame.iloc[rows[np.argsort(order)]]


def _folds(frame: "pd.DataFrame", path: Path) -> Ints16:
    folds = integers(frame, "fold", path)
    if folds.min() < 0 or folds.max() >= _MAX_FOLDS or len(np.unique(folds)) != folds.max() + 1:
        raise DataError(f"{path}: fold must count 0, 1, 2, ... without gaps, below {_MAX_FOLDS}")
    return folds.astype(np.int16)
