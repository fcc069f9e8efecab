"""Probes of whether train, valid and test are alike: a classifier between them, and popularity."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from mmctr_kit.audit.profile.boosted import (
    crossfit_scores,
    important_columns,
    row_columns,
    sample_users,
)
from mmctr_kit.audit.profile.context import ProfileContext
from mmctr_kit.audit.profile.measurement import Measurement, percent
from mmctr_kit.data.contract import SPLITS, Split
from mmctr_kit.data.folds import user_folds, user_uniform
from mmctr_kit.metrics.auc import mean_fold_auc
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Floats

SHIFT_TOLERANCE = 0.05
"""Adversarial AUC above 0.5: the challenge's 2 % of unseen test items alone make about 0.01."""
POPULARITY_TOLERANCE = 0.05
"""Share of target rows on other items than chance would give; unseen items count."""
ROWS = 10_000
FOLDS = 3
_DRAWS = 16
_SEED = 0xAD5


def split_shift(context: ProfileContext) -> Iterator[Measurement]:
    """Adversarial AUC: how well boosted trees distinguish the splits, cross-fitted over users.

    Ids are not among the columns: users of two splits differ in id by construction.
    """
    for a, b in combinations(SPLITS, 2):
        yield _adversarial(context, a, b)


def _adversarial(context: ProfileContext, a: Split, b: Split) -> Measurement:
    name = f"{a}/{b}"
    parts, users, sides = [], [], []
    names: tuple[str, ...] = ()
    for side, split in enumerate((a, b)):
        rows = context.data.rows[split]
        at = sample_users(rows, 2 * ROWS if split == "train" else ROWS, _SEED)
        at = at[~context.counted[at]] if split == "train" else at
        columns = row_columns(context, split, at)
        names = columns.names
        parts.append(columns.values)
        users.append(rows.user_id[at])
        sides.append(np.full(len(at), side, np.int8))
    x, user, side_of = np.concatenate(parts), np.concatenate(users), np.concatenate(sides)
    folds = user_folds(user, FOLDS, _SEED)
    if any(len(np.unique(side_of[folds == f])) < 2 for f in range(FOLDS)):
        return Measurement.none("split-shift", name, "too few users")
    scores, models = crossfit_scores(x, side_of, folds)
    value = mean_fold_auc(side_of, scores, folds, user)
    important = important_columns(models, x, side_of, folds, names)
    most = ", ".join(f"{column} ({loss:+.3f})" for column, loss in important)
    what = f"trees distinguish them with AUC {value}, most by {most}"
    return Measurement.of("split-shift", name, value, SHIFT_TOLERANCE, what, above=True)


def popularity_shift(context: ProfileContext) -> Iterator[Measurement]:
    """Total variation between train's targets and those of valid or test, beyond chance.

    Chance is measured by putting as many other train users in the split's place.
    """
    seen = context.item_rows > 0
    for split in ("valid", "test"):
        value = _excess(context, split)
        unseen = float((~seen[context.data.rows[split].item_id]).mean())
        what = f"{percent(value.value)} of the targets are on other items than train's would be; "
        what += f"{percent(unseen)} have an item that train never has as target"
        name, where, tolerance = "popularity-shift", f"train/{split}", POPULARITY_TOLERANCE
        yield Measurement.of(name, where, value, tolerance, what, clean=0.0, above=True)


def _excess(context: ProfileContext, split: Split) -> Estimate:
    """Mean over draws of TV(split, rest of train) - TV(users of train, rest of train)."""
    rows, train = context.data.rows[split], context.data.train
    size = min(len(rows), len(train) // 2)
    gaps, chance = [], []
    for draw in range(_DRAWS):
        drawn = user_uniform(train.user_id, _SEED + draw) < size / len(train)
        some = user_uniform(rows.user_id, _SEED + draw) < size / len(rows)
        substitute, rest, other = (
            np.bincount(items, minlength=context.data.n_items + 1) / max(1, len(items))
            for items in (train.item_id[drawn], train.item_id[~drawn], rows.item_id[some])
        )
        chance.append(_variation(substitute, rest))
        gaps.append(_variation(other, rest) - chance[-1])
    # The split is one sample: its scatter is that of one draw, not of the draws' mean.
    return Estimate(float(np.mean(gaps)), float(np.std(chance, ddof=1)), len(rows))


def _variation(a: Floats, b: Floats) -> float:
    return float(np.abs(a - b).sum() / 2)
