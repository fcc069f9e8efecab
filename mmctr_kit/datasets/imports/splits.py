"""Which split a row is in: by its user, by its time, by both, or as the log says."""

from datetime import datetime

import numpy as np

from mmctr_kit.data.contract import SPLITS
from mmctr_kit.data.folds import user_hash
from mmctr_kit.datasets.imports.log import Log
from mmctr_kit.datasets.imports.rows import Candidates
from mmctr_kit.datasets.imports.spec import Split
from mmctr_kit.errors import DataError, plural
from mmctr_kit.metrics.ranks import Ints, Ints8

OUTSIDE = -1
"""The split of a row that is in none: it lies outside the period of its user's split."""
_SPLIT_KEY = 0x5B_117
TRAIN, VALID, TEST = range(3)


def assign(rows: Candidates, log: Log, spec: Split, seed: int) -> tuple[Ints8, int | None]:
    """(rows,) the index in SPLITS of each row, or OUTSIDE; and the time at which train ends.

    That time is None unless rows are split by time. Raises DataError if there is no row, or if a
    split has none, or rows of one label alone.
    """
    if not len(rows):
        why = "; ".join(f"{count:,} {reason}" for reason, count in rows.dropped.items())
        raise DataError(
            f"no interaction of {len(log):,} makes a row: {why}; expected users with more "
            "positives than rows.min_history"
        )
    until: int | None = None
    if spec.by == "column":
        assert log.split is not None
        split = log.split[rows.source]
    elif spec.by == "user":
        split = _by_user(rows, log, spec.shares(), seed)
    else:
        time = log.time[rows.source]
        cuts = _cuts(time, spec, log.calendar)
        split, until = np.searchsorted(cuts, time, side="right").astype(np.int8), int(cuts[0])
        if spec.by == "both":
            of_user = _by_user(rows, log, (spec.users, spec.users), seed)
            split = np.where(split == of_user, split, np.int8(OUTSIDE))
    for index, name in enumerate(SPLITS):
        labels = rows.label[split == index]
        if len(np.unique(labels)) < 2:
            what = f"{len(labels):,} rows, all of label {labels[0]}" if len(labels) else "no row"
            raise DataError(
                f"split.by {spec.by}: {name} has {what}; expected rows of both labels: mend "
                "split.valid and split.test, or the rules of what is positive and negative"
            )
    return split, until


def _by_user(rows: Candidates, log: Log, shares: tuple[float, float], seed: int) -> Ints8:
    """By rank of a hash, so that the order of users changes nothing; at least one user each."""
    users = np.unique(rows.user)
    valid, test = (max(1, round(len(users) * share)) for share in shares)
    if valid + test >= len(users):
        raise DataError(
            f"{plural(len(users), 'user')} with rows; expected more, to split them into train, "
            "valid and test"
        )
    ranked = users[np.argsort(user_hash(log.user_ids[users], seed ^ _SPLIT_KEY), kind="stable")]
    split = np.zeros(len(log.user_ids), np.int8)
    split[ranked[len(users) - valid - test :]] = VALID
    split[ranked[len(users) - test :]] = TEST
    return split[rows.user]


def _cuts(time: Ints, spec: Split, calendar: bool) -> Ints:
    """The times at which valid and test begin; rows of one time are in one split."""
    if isinstance(spec.valid, datetime) and isinstance(spec.test, datetime):
        if not calendar:
            raise DataError(
                "split.valid is a date, but interactions.time only tells an order; expected shares "
                "such as 0.1, or another time_unit"
            )
        return np.array([int(m.timestamp() * 1000) for m in (spec.valid, spec.test)], np.int64)
    valid, test = spec.shares()
    ordered = np.sort(time)
    at = [int(len(time) * (1 - valid - test)), int(len(time) * (1 - test))]
    return ordered[np.minimum(at, len(time) - 1)]
