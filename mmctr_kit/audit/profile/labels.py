"""Probes of what predicts labels without the user: the item's id, its levels, its features."""

import math
from collections.abc import Iterator

import numpy as np
from scipy import special, stats

from mmctr_kit.audit.profile.boosted import crossfit_scores, row_columns, sample_users
from mmctr_kit.audit.profile.context import ProfileContext, crossfit_auc
from mmctr_kit.audit.profile.measurement import Measurement, poisson_p, proportion
from mmctr_kit.metrics.auc import AucSample, auc_with_se, mean_fold_auc
from mmctr_kit.metrics.ranks import Floats, Ids, Ints8

ITEM_TOLERANCE = 0.4
"""AUC above 0.5 that the item alone may have: positives and negatives may come from different
distributions, but at 0.9 the history hardly matters any more."""
CODE_TOLERANCE = 0.02
ORDER_TOLERANCE = 0.3
"""Ids that follow date or popularity are common; an AUC of 0.8 by the number alone is not."""
MODULI = (2, 3, 4, 5, 7, 8, 10, 16)
PURE_ROWS = 5
"""Items with at least this many rows are tested for labels that are all 1."""
PURE_TOLERANCE = 0.02
_FEW_ITEMS = 40
TARGET_SIDE_ROWS = 24_000
_SEED = 0x51


def item_label(context: ProfileContext) -> Iterator[Measurement]:
    """How well the item's id alone, its label mean among other users, predicts the label."""
    train = context.data.train
    value = mean_fold_auc(train.labels(), context.item_rate, context.folds, train.user_id)
    what = f"an item's label mean among other users has AUC {value}"
    yield Measurement.of("item-label", "train", value, ITEM_TOLERANCE, what, above=True)
    yield _pure_items(context)


def _pure_items(context: ProfileContext) -> Measurement:
    """Items that are never a negative, compared with a beta-binomial fitted to all items' means."""
    rows, ones = context.item_rows, context.item_positives
    known = rows >= PURE_ROWS
    n, k = rows[known], ones[known]
    if len(n) < _FEW_ITEMS:
        why = f"fewer than {_FEW_ITEMS} items of {PURE_ROWS} rows"
        return Measurement.none("item-purity", "train", why)
    pure = k == n
    rate = k / n
    mean = min(max(float(rate.mean()), 1e-3), 1 - 1e-3)
    noise = float((rate * (1 - rate) / (n - 1)).mean())
    spread = max(float(rate.var()) - noise, 1e-6)
    # Means may spread widely but not pile up at 1, which is the question: so b is at least 1.
    b = max((1 - mean) * (mean * (1 - mean) / spread - 1), 1.0)
    a = b * mean / (1 - mean)
    chance = np.exp(special.betaln(a + n, b) - special.betaln(a, b))
    expected, number = float(chance.sum()), int(pure.sum())
    of_positives = proportion(int(k[pure].sum()), int(k.sum()))
    p = poisson_p(number, expected + 0.5) if of_positives.value > PURE_TOLERANCE else 1.0
    what = (
        f"{number:,} of {len(n):,} items with {PURE_ROWS} rows or more are never negative; "
        f"{expected:.1f} expected from the spread of all items' means"
    )
    return Measurement("item-purity", "train", of_positives, 0.0, PURE_TOLERANCE, p, what)


def item_code(context: ProfileContext) -> Iterator[Measurement]:
    """Whether the number of an item predicts its label mean: its remainders, and its size.

    Each item counts once (Kruskal-Wallis over the classes of id mod m), so that a popular item
    that happens to be even is no evidence of parity.
    """
    train = context.data.train
    ids = np.flatnonzero(context.item_rows)
    if len(ids) < _FEW_ITEMS:
        yield Measurement.none("item-code", "train", f"fewer than {_FEW_ITEMS} items are targets")
        return
    rate = context.smoothed_rate[ids]
    tests = [(m, _classes_p(rate, ids % m)) for m in MODULI if len(ids) >= 5 * m]
    modulus, lowest = min(tests, key=lambda t: t[1])
    value = crossfit_auc(train.item_id % modulus, train.labels(), context.folds, train.user_id)
    p = min(1.0, lowest * len(tests)) if abs(value.value - 0.5) > CODE_TOLERANCE else 1.0
    what = f"item_id mod {modulus}, of {len(tests)} remainders the most predictive, has AUC {value}"
    where = f"train, id mod {modulus}"
    yield Measurement("item-code", where, value, 0.5, CODE_TOLERANCE, p, what)
    size = auc_with_se(train.labels(), train.item_id.astype(np.float64), train.user_id)
    what = f"the size of item_id has AUC {size}"
    yield Measurement.of("item-code", "train, size of id", size, ORDER_TOLERANCE, what)


def level_label(context: ProfileContext) -> Iterator[Measurement]:
    """Whether the same item has other levels in positive rows than in negative ones."""
    for split in ("train", "valid"):
        rows = context.data.rows[split]
        for name in ("likes_level", "views_level"):
            level: Ints8 = getattr(rows, name)
            n = np.bincount(rows.item_id)
            mean = np.bincount(rows.item_id, level) / np.maximum(n, 1)
            # Rounded, so that equal levels are equal whatever the sum's last bit is.
            gap = np.round(level - mean[rows.item_id], 9)
            value = auc_with_se(rows.labels(), gap, rows.user_id)
            what = f"{name} against the item's own mean has AUC {value}"
            yield Measurement.of("level-label", f"{split}, {name}", value, CODE_TOLERANCE, what)


def target_side(context: ProfileContext) -> Iterator[Measurement]:
    """AUC of boosted trees on the target's columns, and with simple columns of the history.

    The target's columns include its label mean among other users. Cross-fitted over train's users.
    """
    train = context.data.train
    at = sample_users(train, TARGET_SIDE_ROWS, _SEED)
    columns = row_columns(context, "train", at)
    # Three folds made of the five: the mean of a row's item never holds its own user.
    label, user, folds = train.labels()[at], train.user_id[at], context.folds[at] // 2
    if any(len(np.unique(label[folds == f])) < 2 for f in range(3)):
        yield Measurement.none("target-side", "train", "too few users, or too few of one label")
        return
    rate = context.item_rate[at].astype(np.float32)[:, None]
    x = np.hstack([rate, columns.values])
    sample = AucSample(label, user, folds)
    alone, both = (
        sample.influence(crossfit_scores(part, label, folds)[0])
        for part in (x[:, : columns.target + 1], x)
    )
    value, whole = sample.estimate(alone), sample.estimate(both)
    gain = sample.difference(both, alone)
    added = gain.signed() if gain.value > 0 else "nothing"
    what = (
        f"item features alone: AUC {value}; with history {whole}, i.e. history added {added} in "
        "this quick test"
    )
    yield Measurement.of("target-side", "train", value, ITEM_TOLERANCE, what, above=True)


def _classes_p(values: Floats, classes: Ids) -> float:
    """Kruskal-Wallis p that ``values`` (n,) have one distribution in all classes."""
    if len(np.unique(values)) < 2:
        return 1.0
    p = float(stats.kruskal(*(values[classes == c] for c in np.unique(classes))).pvalue)
    return 1.0 if math.isnan(p) else p
