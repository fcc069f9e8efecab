"""The predictions of a run, keyed by row: what every stage after training works on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData, Rows
from mmctr_kit.data.hashing import digest
from mmctr_kit.errors import RunError, plural


@dataclass(frozen=True)
class Keys:
    """(rows,) each: the key of a row. For test the position of a row is its ID."""

    user_id: NDArray[np.int64]
    item_id: NDArray[np.int32]
    occurrence: NDArray[np.int32]

    @classmethod
    def none(cls) -> "Keys":
        """The keys of no rows."""
        small = np.zeros(0, np.int32)
        return cls(np.zeros(0, np.int64), small, small)

    def __len__(self) -> int:
        return len(self.user_id)

    def same(self, other: "Keys") -> bool:
        """Whether both are of the same rows in the same order."""
        return (
            np.array_equal(self.user_id, other.user_id)
            and np.array_equal(self.item_id, other.item_id)
            and np.array_equal(self.occurrence, other.occurrence)
        )

    def order(self) -> NDArray[np.int64]:
        """Positions that put the keys into canonical order."""
        return np.lexsort((self.occurrence, self.item_id, self.user_id))


@dataclass(frozen=True)
class OutOfFold:
    """Fold models' logits of the train rows: ``logit`` (rows,) float64, ``fold`` (rows,) int16,
    ``label`` (rows,) int8. Each row is predicted by the one model that saw none of its user."""

    keys: Keys
    label: NDArray[np.int8]
    fold: NDArray[np.int16]
    logit: NDArray[np.float64]


def mean_logits(each: NDArray[np.float64] | Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The plain mean over the first axis: the blend of a recipe's seeds and of a run's fold models.

    They stand on one scale already, so their logits need none of the calibration that ``blend``
    gives runs of different recipes.
    """
    return np.asarray(np.mean(each, axis=0))


@dataclass(frozen=True)
class Predictions:
    """``valid`` (folds, rows) and ``test`` (folds, rows) float64: each fold model's logits,
    averaged over seeds. ``oof`` is None for imported predictions that have none; those count as
    one fold. Imported predictions may lack valid too: its arrays then have no rows, (folds, 0)."""

    oof: OutOfFold | None
    valid_keys: Keys
    valid_label: NDArray[np.int8]
    valid: NDArray[np.float64]
    test_keys: Keys
    test: NDArray[np.float64]

    def __post_init__(self) -> None:
        """A gap is an error: raises RunError where a logit is not finite."""
        parts = {"valid": self.valid, "test": self.test}
        if self.oof is not None:
            parts["OOF"] = self.oof.logit
        for name, logits in parts.items():
            gaps = int((~np.isfinite(logits)).sum())
            if gaps:
                many = plural(gaps, f"{name} prediction is", f"{name} predictions are")
                raise RunError(f"{many} missing or not finite")

    @property
    def has_valid(self) -> bool:
        """Whether there are valid rows; imported predictions may have none."""
        return len(self.valid_keys) > 0

    def digest(self) -> str:
        """sha256 of every logit and of the OOF's folds, rows in the order they stand in."""
        parts = {"valid": self.valid, "test": self.test}
        if self.oof is not None:
            parts |= {"oof": self.oof.logit, "fold": self.oof.fold.astype(np.float64)}
        return digest("{name} {shape}", **parts)

    def valid_mean(self) -> NDArray[np.float64]:
        """(rows,) the fold mean's logits."""
        return mean_logits(self.valid)

    def test_mean(self) -> NDArray[np.float64]:
        """(rows,) the fold mean's logits, in ID order."""
        return mean_logits(self.test)


def keys_of(rows: Rows) -> Keys:
    """The keys of a split."""
    return Keys(rows.user_id, rows.item_id, rows.occurrence)


def predictions_for(
    data: ChallengeData,
    oof: NDArray[np.float64] | None,
    fold: NDArray[np.int16] | None,
    valid: NDArray[np.float64] | None,
    test: NDArray[np.float64],
) -> Predictions:
    """Predictions of the loaded data's rows, in its canonical order; ``valid`` None leaves the
    valid rows out."""
    train = data.train
    covered = None
    if oof is not None:
        assert fold is not None
        covered = OutOfFold(keys_of(train), np.asarray(train.labels()), fold, oof)
    known = valid is not None
    return Predictions(
        oof=covered,
        valid_keys=keys_of(data.valid) if known else Keys.none(),
        valid_label=np.asarray(data.valid.labels()) if known else np.zeros(0, np.int8),
        valid=np.zeros((len(test), 0)) if valid is None else valid,
        test_keys=keys_of(data.test),
        test=test,
    )


def key_columns(keys: Keys) -> dict[str, NDArray[Any]]:
    """Keys as a table has them; :func:`keys_from` reads them back."""
    return {"user_id": keys.user_id, "item_id": keys.item_id, "occurrence": keys.occurrence}


def keys_from(columns: Mapping[str, NDArray[Any]]) -> Keys:
    return Keys(columns["user_id"], columns["item_id"], columns["occurrence"])


def logit_columns(logits: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    """(folds, rows) logits as a table has them, behind their mean; :func:`fold_logits` reads them
    back."""
    folds = {f"logit_{i}": row for i, row in enumerate(logits)}
    return {"logit": logits.mean(axis=0), **folds}


def fold_logits(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    count = sum(name.startswith("logit_") for name in columns)
    return np.stack([columns[f"logit_{i}"] for i in range(count)])
