"""Do rows of valid or test stand in train too? What is trained on them then tells nothing on them.

A copy has its row's user, item and history. Where histories differ, the same user and item may
have met twice, as a listener and a song do: that only WARNs.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.challenge.check.rows import RowFile, RowFiles
from mmctr_kit.challenge.contract import Split
from mmctr_kit.challenge.hash import among, distinct, pair_keys
from mmctr_kit.findings import Finding, Level

COPIED = 0.01
"""Share of a split's rows that may be in train too, as a few impressions of one item may."""
_WHY = {
    "valid": "a valid score on rows that were trained on says nothing",
    "test": "the labels of test are then known to whatever is trained",
}


def copy_findings(rows: RowFiles) -> Iterator[Finding]:
    """Rows of valid and test that train holds, where there are more than a few."""
    train = rows["train"]
    for split in ("valid", "test"):
        finding = _copies(split, rows[split], train)
        if finding is not None:
            yield finding


def _copies(split: Split, file: RowFile, train: RowFile) -> Finding | None:
    if not all({"user_id", "item_id"} <= set(f.columns) for f in (file, train)):
        return None
    # Few users of train, as a rule none, are of the other split: only their rows are compared.
    shared = np.flatnonzero(among(train.columns["user_id"], distinct(file.columns["user_id"])))
    if not len(shared):
        return None
    here, there = _pairs(file), _pairs(train)[shared]
    met = float(among(here, distinct(there)).mean())
    if met <= COPIED:
        return None
    if file.history is None or train.history is None:
        return _finding(split, met, len(here), Level.FAIL, "same user and item")
    here, there = _with_history(here, file), _with_history(there, train, shared)
    copied = float(among(here, distinct(there)).mean())
    if copied > COPIED:
        return _finding(split, copied, len(here), Level.FAIL, "same user, item and history")
    return _finding(split, met, len(here), Level.WARN, "same user and item, another history")


def _pairs(file: RowFile) -> NDArray[np.uint64]:
    return pair_keys(file.columns["user_id"], file.columns["item_id"])


def _with_history(
    pairs: NDArray[np.uint64], file: RowFile, rows: NDArray[np.int64] | None = None
) -> NDArray[np.uint64]:
    assert file.history is not None
    histories = file.history.keys if rows is None else file.history.keys[rows]
    return pair_keys(pairs.view(np.int64), histories.view(np.int64))


def _finding(split: Split, share: float, rows: int, level: Level, same: str) -> Finding:
    what = f"{split}: {round(share * rows):,} of {rows:,} rows ({share:.1%}) stand in train too"
    todo = f"take them out of train: {_WHY[split]}"
    if level is Level.WARN:
        todo = f"if they are the same impressions, {todo}"
    return Finding("duplicate-rows", level, f"{what} ({same})", todo)
