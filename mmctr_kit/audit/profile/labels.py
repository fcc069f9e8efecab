"""What tells labels without knowing the user: the item's id, and levels that differ by row."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from mmctr_kit.audit.profile.facts import Facts, crossfit_auc
from mmctr_kit.audit.profile.reading import Reading, auc_reading, nothing, share
from mmctr_kit.metrics.auc import auc_with_se, mean_fold_auc

ITEM_FLOOR = 0.4
"""AUC beyond 0.5 that an item's popularity may have: targets drawn otherwise than negatives are
no leak, but at 0.9 the history is hardly asked any more."""
CODE_FLOOR = 0.02
ORDER_FLOOR = 0.3
"""Ids by date or popularity are common; 0.8 by the number alone is not."""
MODULI = (2, 3, 4, 5, 7, 8, 10, 16)
PURE_ROWS = 5
"""Rows from which an item whose labels are all 1 counts."""
PURE_FLOOR = 0.02
_FEW_ITEMS = 40


def item_label(facts: Facts) -> Iterator[Reading]:
    """How well the item's id alone, its label mean among other users, predicts the label."""
    train = facts.data.train
    value = mean_fold_auc(train.labels(), facts.item_rate, facts.folds, train.user_id)
    yield auc_reading(
        "item-label",
        "train",
        value,
        ITEM_FLOOR,
        f"an item's label mean among other users has AUC {value}",
        above=True,
    )
    yield _pure_items(facts)


def _pure_items(facts: Facts) -> Reading:
    """Items that are never a negative, against a beta-binomial fitted to all items' means."""
    rows, ones = facts.item_rows, facts.item_positives
    known = rows >= PURE_ROWS
    n, k = rows[known], ones[known]
    if len(n) < _FEW_ITEMS:
        return nothing("item-purity", "train", f"fewer than {_FEW_ITEMS} items of {PURE_ROWS} rows")
    pure = k == n
    rate = k / n
    mean = min(max(float(rate.mean()), 1e-3), 1 - 1e-3)
    noise = float((rate * (1 - rate) / (n - 1)).mean())
    spread = max(float(rate.var()) - noise, 1e-6)
    # Means may spread widely, but not pile up at 1, which is what is asked: so b is at least 1.
    b = max((1 - mean) * (mean * (1 - mean) / spread - 1), 1.0)
    a = b * mean / (1 - mean)
    chance = np.exp(special.betaln(a + n, b) - special.betaln(a, b))
    expected, found = float(chance.sum()), int(pure.sum())
    of_positives = share(int(k[pure].sum()), int(k.sum()))
    tail = float(stats.poisson.sf(found - 1, expected + 0.5)) if found else 1.0
    p = tail if of_positives.value > PURE_FLOOR else 1.0
    return Reading(
        "item-purity",
        "train",
        of_positives,
        0.0,
        PURE_FLOOR,
        p,
        f"{found:,} of {len(n):,} items with {PURE_ROWS} rows or more are never negative; "
        f"their spread expects {expected:.1f}",
    )


def item_code(facts: Facts) -> Iterator[Reading]:
    """Whether the number of an item tells its label mean: its remainders, and its size.

    Each item counts once (Kruskal-Wallis over the classes of id mod m), so that a popular item
    that happens to be even is no evidence of parity.
    """
    train = facts.data.train
    ids = np.flatnonzero(facts.item_rows)
    if len(ids) < _FEW_ITEMS:
        yield nothing("item-code", "train", f"fewer than {_FEW_ITEMS} items are targets")
        return
    rate = facts.smoothed_rate[ids]
    tests = [(m, _classes_p(rate, ids % m)) for m in MODULI if len(ids) >= 5 * m]
    modulus, lowest = min(tests, key=lambda t: t[1])
    value = crossfit_auc(train.item_id % modulus, train.labels(), facts.folds, train.user_id)
    p = min(1.0, lowest * len(tests)) if abs(value.value - 0.5) > CODE_FLOOR else 1.0
    yield Reading(
        "item-code",
        f"train, id mod {modulus}",
        value,
        0.5,
        CODE_FLOOR,
        p,
        f"item_id mod {modulus}, of {len(tests)} remainders the most telling, has AUC {value}",
    )
    size = auc_with_se(train.labels(), train.item_id.astype(np.float64), train.user_id)
    yield auc_reading(
        "item-code",
        "train, size of id",
        size,
        ORDER_FLOOR,
        f"the size of item_id has AUC {size}",
    )


def level_label(facts: Facts) -> Iterator[Reading]:
    """Whether the same item has other levels in positive rows than in negative ones."""
    for split in ("train", "valid"):
        rows = facts.rows(split)
        for name in ("likes_level", "views_level"):
            level = rows.likes_level if name == "likes_level" else rows.views_level
            n = np.bincount(rows.item_id)
            mean = np.bincount(rows.item_id, level) / np.maximum(n, 1)
            # Rounded, so that equal levels are equal whatever the sum's last bit.
            off = np.round(level - mean[rows.item_id], 9)
            value = auc_with_se(rows.labels(), off, rows.user_id)
            yield auc_reading(
                "level-label",
                f"{split}, {name}",
                value,
                CODE_FLOOR,
                f"{name} against the item's own mean has AUC {value}",
            )


def _classes_p(values: NDArray[np.float64], classes: NDArray[np.integer]) -> float:
    """Kruskal-Wallis p: whether ``values`` (n,) lie alike in all classes."""
    if len(np.unique(values)) < 2:
        return 1.0
    p = float(stats.kruskal(*(values[classes == c] for c in np.unique(classes))).pvalue)
    return 1.0 if math.isnan(p) else p
