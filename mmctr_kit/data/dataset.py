"""The loaded challenge: columns as NumPy arrays, each history stored once.

Rows are in canonical order whatever the file's order is: train and valid by (user_id, item_id,
occurrence), test by ID. So nothing downstream depends on the position of a row in a file.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import Split
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.metrics.ranks import Floats32, Ints, Ints8, Ints32


@dataclass(frozen=True)
class Rows:
    """One split, (rows,) each: key, levels, index of the row's history, label (None for test).

    The key is (user_id, item_id, occurrence). ``occurrence`` counts the earlier rows with the same
    user and item; a test row's ID is its index. ``time``, in milliseconds since 1970-01-01 UTC, is
    None in data without times.
    """

    user_id: Ints
    item_id: Ints32
    occurrence: Ints32
    likes_level: Ints8
    views_level: Ints8
    history: Ints32
    label: Ints8 | None
    time: Ints | None = None

    def __len__(self) -> int:
        return len(self.user_id)

    def labels(self) -> Ints8:
        """The labels; ValueError if the split has none."""
        if self.label is None:
            raise ValueError("this split has no labels")
        return self.label


@dataclass(frozen=True)
class Examples:
    """What a model sees of rows, (rows,) each: the user, the target item, its levels, its history.

    The history is the range ``begin`` to ``end`` of ``ChallengeData.histories.values``.
    """

    user_id: Ints
    item_id: Ints32
    likes_level: Ints8
    views_level: Ints8
    begin: Ints
    end: Ints
    label: Ints8 | None

    def __len__(self) -> int:
        return len(self.user_id)

    @property
    def lengths(self) -> Ints:
        """(rows,) the number of items in each history."""
        return self.end - self.begin

    def take(self, index: Ints | slice) -> "Examples":
        """The examples at these positions, in this order."""
        columns: dict[str, Any] = {k: v[index] for k, v in self._columns().items()}
        return replace(self, **columns)

    def join(self, other: "Examples") -> "Examples":
        """These examples, then the other's. Both have labels, or neither does."""
        if (self.label is None) != (other.label is None):
            raise ValueError("cannot join examples with labels to examples without")
        theirs = other._columns()
        columns: dict[str, Any] = {
            k: np.concatenate([v, theirs[k].astype(v.dtype)]) for k, v in self._columns().items()
        }
        return replace(self, **columns)

    def _columns(self) -> dict[str, NDArray[Any]]:
        return {k: v for k, v in vars(self).items() if v is not None}

    def chunks(self, positions: int) -> Iterator["Examples"]:
        """Consecutive examples, with about ``positions`` history positions and rows together."""
        run = np.cumsum(self.lengths + 1) // positions
        cuts = [*(np.flatnonzero(np.diff(run)) + 1).tolist(), len(self)]
        begin = 0
        for end in cuts:
            yield self.take(slice(begin, end))
            begin = end


@dataclass(frozen=True)
class ChallengeData:
    """A loaded data folder.

    ``histories`` int32, one row a distinct history, oldest item first, no padding. ``item_tags``
    (n_items + 1, tags) int32, 0 = padding; ``item_emb`` (n_items + 1, d) float32, item_info's own
    embedding; row 0 of both is the padding item. ``rows_fingerprint`` covers row keys and labels,
    ``context_fingerprint`` everything else (levels, times, histories, tags, item_info's embedding).
    """

    folder: Path
    rows: Mapping[Split, Rows]
    histories: Ragged[np.int32]
    item_tags: Ints32
    item_emb: Floats32
    rows_fingerprint: str
    context_fingerprint: str

    @property
    def n_items(self) -> int:
        return len(self.item_tags) - 1

    @property
    def n_tags(self) -> int:
        """Size of the tag vocabulary, the padding tag included."""
        return int(self.item_tags.max(initial=0)) + 1

    @property
    def train(self) -> Rows:
        return self.rows["train"]

    @property
    def valid(self) -> Rows:
        return self.rows["valid"]

    @property
    def test(self) -> Rows:
        return self.rows["test"]

    @property
    def split_by_time(self) -> bool:
        """Whether the rows have times, and none of valid or test is before the last one of train.

        Then valid and test ask for what comes after train, as an online test would.
        """
        last = self.train.time
        later = [rows.time for rows in (self.valid, self.test) if rows.time is not None]
        return last is not None and all(time.min() >= last.max() for time in later)

    def examples(self, split: Split, max_history: int) -> Examples:
        """The rows of a split, each with the most recent ``max_history`` items of its history."""
        rows = self.rows[split]
        end = self.histories.offsets[rows.history + 1]
        begin = np.maximum(self.histories.offsets[rows.history], end - max_history)
        levels = (rows.likes_level, rows.views_level)
        return Examples(rows.user_id, rows.item_id, *levels, begin, end, rows.label)
