"""Whether the order of rows in a file tells their labels.

A model that sees a row's place, or a blend that sorts by it, would then win on train and valid
what test may not have; and where test has it too, the order is a leak of the organisers'.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mmctr_kit.audit.profile.facts import FOLDS, Facts, both_labels, crossfit_auc, within_users
from mmctr_kit.audit.profile.reading import Reading, beyond, nothing
from mmctr_kit.data.contract import FILES, SPLITS, Split
from mmctr_kit.data.folds import user_folds
from mmctr_kit.data.parquet import read_table
from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import number_ids

FLOOR = 0.02
MODULI = (2, 3, 4, 5, 8)
_PLACES = 8
"""Places within a user beyond the eighth count as the eighth."""
_SORTED = 0.95
_TELLING = 0.01
"""A test's p, not corrected, from which its AUC is looked at; a suspicion needs less."""
_SEED = 0x0DE

Column = NDArray[np.int64]


def row_order(facts: Facts) -> Iterator[Reading]:
    """One reading a split: the most telling of a trend along the file, the place among the rows of
    the user, and the row number's remainders.

    Test has no labels: there the item's label mean in train, above or below the median, stands in.
    """
    for split in SPLITS:
        user, item, label = _in_file_order(facts, split)
        folds = user_folds(user, FOLDS, _SEED)
        if len(np.unique(user)) < 2 * FOLDS or not both_labels(label, folds):
            yield nothing("row-order", split, "too few users, or too few of one label")
            continue
        yield _reading(split, user, item, label, folds)


def _in_file_order(facts: Facts, split: Split) -> tuple[Column, Column, Column]:
    names = ("user_id", "item_id", *(() if split == "test" else ("label",)))
    columns: dict[str, Any] = dict(read_table(facts.data.folder, FILES[split], names))
    user, item = columns["user_id"], columns["item_id"]
    if split != "test":
        return user, item, columns["label"]
    rate = facts.smoothed_rate[item]
    return user, item, (rate > np.median(rate)).astype(np.int64)


def _reading(
    split: Split, user: Column, item: Column, label: Column, folds: NDArray[np.int16]
) -> Reading:
    codes = number_ids(user)
    place = np.minimum(_place(codes), _PLACES - 1)
    index = np.arange(len(user))
    plain = label - label.mean()
    tests: list[tuple[str, float, NDArray[np.int64] | None]] = []
    trend = auc_with_se(label, index.astype(np.float64), user)
    tests.append(("the row's number", beyond(trend, 0.5, FLOOR), None))
    tests += [
        (f"the row's number mod {m}", _wald(plain, index % m, codes), index % m) for m in MODULI
    ]
    if not _by_item(codes, item):
        tests.append(
            (
                "the place among the user's rows",
                _wald(within_users(label, codes), place, codes),
                place,
            )
        )
    # An AUC is a sort of all rows, so only of what stands out, or stands out most.
    told = [t for t in tests if t[1] < _TELLING] or [min(tests, key=lambda t: t[1])]
    values = [
        trend if groups is None else crossfit_auc(groups, label, folds, user)
        for _, _, groups in told
    ]
    ps = [
        p * len(tests) if abs(v.value - 0.5) > FLOOR else 1.0
        for (_, p, _), v in zip(told, values, strict=True)
    ]
    worst = min(range(len(told)), key=lambda i: (ps[i], -_distance(values[i])))
    stands_in = " (by the item's label mean in train)" if split == "test" else ""
    return Reading(
        "row-order",
        split,
        values[worst],
        0.5,
        FLOOR,
        min(1.0, ps[worst]),
        f"{told[worst][0]} has AUC {values[worst]}{stands_in}",
    )


def _distance(value: Estimate) -> float:
    return abs(value.value - 0.5)


def _place(codes: NDArray[np.intp]) -> NDArray[np.int64]:
    """(rows,) how many earlier rows of the file are of the same user."""
    order = np.argsort(codes, kind="stable")
    count = np.bincount(codes)
    start = np.cumsum(count) - count
    out = np.empty(len(codes), np.int64)
    out[order] = np.arange(len(codes)) - np.repeat(start, count)
    return out


def _by_item(codes: NDArray[np.intp], item: Column) -> bool:
    """Whether a user's rows stand by item_id: their place then tells no more than the item."""
    order = np.argsort(codes, kind="stable")
    same = codes[order][1:] == codes[order][:-1]
    steps = np.diff(item[order])[same]
    if not len(steps):
        return False
    return bool(max((steps >= 0).mean(), (steps <= 0).mean()) > _SORTED)


def _wald(
    residual: NDArray[np.float64], group: NDArray[np.int64], codes: NDArray[np.intp]
) -> float:
    """p that the residuals' sums over groups are all 0: Wald's chi-square, clustered by user."""
    users, width = int(codes.max()) + 1, int(group.max()) + 1
    of_user = np.bincount(codes * width + group, residual, users * width).reshape(users, width)
    total = of_user.sum(axis=0)
    covariance = of_user.T @ of_user
    rank = int(np.linalg.matrix_rank(covariance, hermitian=True))
    if rank == 0:
        return 1.0
    statistic = float(total @ np.linalg.pinv(covariance, hermitian=True) @ total)
    return float(stats.chi2.sf(statistic, rank))
