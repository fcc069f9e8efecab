"""Probe of whether the order of rows in a file predicts their labels.

A model that sees a row's position, or a blend that sorts by it, would then gain on train and valid
what test may not have; if test has it too, the order is a leak of the organisers'.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy import stats

from mmctr_kit.audit.profile.context import (
    FOLDS,
    ProfileContext,
    both_labels,
    crossfit_auc,
    within_users,
)
from mmctr_kit.audit.profile.measurement import Measurement, normal_p
from mmctr_kit.data.contract import FILES, SPLITS, Split
from mmctr_kit.data.folds import user_folds
from mmctr_kit.data.parquet import read_table
from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.metrics.ranks import Floats, Ints, Ints16, earlier_equals, number_ids

TOLERANCE = 0.02
MODULI = (2, 3, 4, 5, 8)
_POSITIONS = 8
"""Positions within a user beyond the eighth count as the eighth."""
_SORTED = 0.95
_NOTABLE = 0.01
"""Below this p, not corrected, a test's AUC is computed; a suspicion needs a lower one."""
_SEED = 0x0DE


def row_order(context: ProfileContext) -> Iterator[Measurement]:
    """One measurement a split: the most predictive way of reading the order of its rows.

    The ways are a trend along the file, the position among the user's rows, and the row number's
    remainders. Test has no labels: the item's label mean in train, above or below the median,
    replaces them.
    """
    for split in SPLITS:
        user, item, label = _in_file_order(context, split)
        folds = user_folds(user, FOLDS, _SEED)
        if len(np.unique(user)) < 2 * FOLDS or not both_labels(label, folds):
            yield Measurement.none("row-order", split, "too few users, or too few of one label")
            continue
        yield _most_predictive(split, user, item, label, folds)


def _in_file_order(context: ProfileContext, split: Split) -> tuple[Ints, Ints, Ints]:
    names = ("user_id", "item_id", *(() if split == "test" else ("label",)))
    columns: dict[str, Any] = dict(read_table(context.data.folder, FILES[split], names))
    user, item = columns["user_id"], columns["item_id"]
    if split != "test":
        return user, item, columns["label"]
    rate = context.smoothed_rate[item]
    return user, item, (rate > np.median(rate)).astype(np.int64)


def _most_predictive(
    split: Split, user: Ints, item: Ints, label: Ints, folds: Ints16
) -> Measurement:
    codes = number_ids(user)
    position = np.minimum(earlier_equals(codes), _POSITIONS - 1)
    index = np.arange(len(user))
    centred = label - label.mean()
    trend = auc_with_se(label, index.astype(np.float64), user)
    tests: list[tuple[str, float, Ints | None]]
    tests = [("the row's number", normal_p(trend, 0.5, TOLERANCE), None)]
    tests += [
        (f"the row's number mod {m}", _wald(centred, index % m, codes), index % m) for m in MODULI
    ]
    if not _by_item(codes, item):
        p = _wald(within_users(label, codes), position, codes)
        tests.append(("the position among the user's rows", p, position))
    # An AUC sorts all rows, so it is computed only for what stands out, or stands out most.
    notable = [t for t in tests if t[1] < _NOTABLE] or [min(tests, key=lambda t: t[1])]
    measured = []
    for name, p, groups in notable:
        value = trend if groups is None else crossfit_auc(groups, label, folds, user)
        p = p * len(tests) if abs(value.value - 0.5) > TOLERANCE else 1.0
        measured.append((p, value, name))
    p, value, name = min(measured, key=lambda m: (m[0], -abs(m[1].value - 0.5)))
    replaced = " (by the item's label mean in train)" if split == "test" else ""
    what = f"{name} has AUC {value}{replaced}"
    return Measurement("row-order", split, value, 0.5, TOLERANCE, min(1.0, p), what)


def _by_item(codes: Ints, item: Ints) -> bool:
    """Whether a user's rows are sorted by item_id: then position adds nothing."""
    order = np.argsort(codes, kind="stable")
    same = codes[order][1:] == codes[order][:-1]
    steps = np.diff(item[order])[same]
    return bool(len(steps) and max((steps >= 0).mean(), (steps <= 0).mean()) > _SORTED)


def _wald(residual: Floats, group: Ints, codes: Ints) -> float:
    """Wald's chi-square p that all groups' residuals sum to 0, clustered by user."""
    users, width = int(codes.max()) + 1, int(group.max()) + 1
    of_user = np.bincount(codes * width + group, residual, users * width).reshape(users, width)
    total = of_user.sum(axis=0)
    covariance = of_user.T @ of_user
    rank = int(np.linalg.matrix_rank(covariance, hermitian=True))
    if rank == 0:
        return 1.0
    statistic = float(total @ np.linalg.pinv(covariance, hermitian=True) @ total)
    return float(stats.chi2.sf(statistic, rank))
