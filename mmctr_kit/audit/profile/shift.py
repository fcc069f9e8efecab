"""Whether train, valid and test are of one kind: a classifier between them, and popularity."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.profile.boosted import crossfit_scores, telling_columns
from mmctr_kit.audit.profile.facts import Facts
from mmctr_kit.audit.profile.features import row_columns, sample_users
from mmctr_kit.audit.profile.reading import Reading, auc_reading, beyond, nothing, percent
from mmctr_kit.data.contract import SPLITS, Split
from mmctr_kit.data.folds import user_folds, user_hash
from mmctr_kit.metrics.auc import mean_fold_auc
from mmctr_kit.metrics.estimate import Estimate

SHIFT_FLOOR = 0.05
"""Adversarial AUC beyond 0.5: the challenge's 2 % of unseen test items alone make about 0.01."""
POPULARITY_FLOOR = 0.05
"""Share of target rows that lie on other items than chance puts there; unseen items count."""
ROWS = 10_000
FOLDS = 3
_DRAWS = 16
_SEED = 0xAD5


def split_shift(facts: Facts) -> Iterator[Reading]:
    """Adversarial AUC: how well boosted trees tell the splits apart, cross-fitted over users.

    Ids are not among the columns: users of two splits differ in id by construction.
    """
    for a, b in combinations(SPLITS, 2):
        yield _adversarial(facts, a, b)


def _adversarial(facts: Facts, a: Split, b: Split) -> Reading:
    name = f"{a}/{b}"
    parts, users, sides = [], [], []
    names: tuple[str, ...] = ()
    for side, split in enumerate((a, b)):
        rows = facts.rows(split)
        at = sample_users(rows, 2 * ROWS if split == "train" else ROWS, _SEED)
        at = at[~facts.counted[at]] if split == "train" else at
        columns = row_columns(facts, split, at)
        names = columns.names
        parts.append(columns.values)
        users.append(rows.user_id[at])
        sides.append(np.full(len(at), side, np.int8))
    x, user, side_of = np.concatenate(parts), np.concatenate(users), np.concatenate(sides)
    folds = user_folds(user, FOLDS, _SEED)
    if any(len(np.unique(side_of[folds == f])) < 2 for f in range(FOLDS)):
        return nothing("split-shift", name, "too few users")
    scores, models = crossfit_scores(x, side_of, folds)
    value = mean_fold_auc(side_of, scores, folds, user)
    told = telling_columns(models, x, side_of, folds, names)
    return auc_reading(
        "split-shift",
        name,
        value,
        SHIFT_FLOOR,
        f"trees tell them apart with AUC {value}, most by "
        + ", ".join(f"{column} ({loss:+.3f})" for column, loss in told),
        above=True,
    )


def popularity_shift(facts: Facts) -> Iterator[Reading]:
    """Total variation between the targets of train and those of valid or test, beyond chance.

    Chance is measured: other train users take the split's place, as many of them.
    """
    seen = facts.item_rows > 0
    for split in ("valid", "test"):
        value = _excess(facts, split)
        unseen = float((~seen[facts.rows(split).item_id]).mean())
        yield Reading(
            "popularity-shift",
            f"train/{split}",
            value,
            0.0,
            POPULARITY_FLOOR,
            beyond(value, 0.0, POPULARITY_FLOOR, above=True),
            f"{percent(value.value)} of the targets lie on other items than train's would; "
            f"{percent(unseen)} have an item that train never has as target",
        )


def _excess(facts: Facts, split: Split) -> Estimate:
    """Mean over draws of TV(split, rest of train) - TV(users of train, rest of train)."""
    data, rows, train = facts.data, facts.rows(split), facts.data.train
    size = min(len(rows), len(train) // 2)
    gaps = []
    chance = []
    for draw in range(_DRAWS):
        part = user_hash(train.user_id, _SEED + draw).astype(np.float64) / 2.0**64
        taken = part < size / len(train)
        theirs = user_hash(rows.user_id, _SEED + draw).astype(np.float64) / 2.0**64
        some = theirs < size / len(rows)
        own, rest, other = (
            _distribution(items, data.n_items)
            for items in (train.item_id[taken], train.item_id[~taken], rows.item_id[some])
        )
        chance.append(_variation(own, rest))
        gaps.append(_variation(other, rest) - chance[-1])
    # The split is one sample: its own scatter is that of one draw, not of their mean.
    return Estimate(float(np.mean(gaps)), float(np.std(chance, ddof=1)), len(rows))


def _distribution(items: NDArray[np.integer], n_items: int) -> NDArray[np.float64]:
    counts = np.bincount(items, minlength=n_items + 1)
    out: NDArray[np.float64] = counts / max(1, counts.sum())
    return out


def _variation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(np.abs(a - b).sum() / 2)
