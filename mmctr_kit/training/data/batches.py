"""The data set on a device, and batches cut from it without host work per row or padding."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmctr_kit.data.contexts import find_sorted
from mmctr_kit.data.contract import SPLITS, Split
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.items import Floats64, Ints
from mmctr_kit.items.signals import SignalValues
from mmctr_kit.models.batch import Batch


@dataclass(frozen=True)
class DeviceRows:
    """One split's columns on the device, all (rows,); ``label`` is float32, or None for test.

    ``user`` numbers the users of train from 1; a user of no train row is 0. ``begin`` and ``end``
    int64 are the history's span in :attr:`DeviceData.history_items`. ``signals`` (positions, S) and
    ``row_signals`` (rows, R) are float16 and may have width 0; row r's positions in ``signals``
    begin at ``signal_begin[r]`` (int64).
    """

    item: Tensor
    likes_level: Tensor
    views_level: Tensor
    user: Tensor
    begin: Tensor
    end: Tensor
    signals: Tensor
    signal_begin: Tensor
    row_signals: Tensor
    label: Tensor | None

    def __len__(self) -> int:
        return len(self.item)

    @property
    def labels(self) -> Tensor:
        """The labels (rows,); ValueError for a split without."""
        if self.label is None:
            raise ValueError("this split has no labels")
        return self.label

    @property
    def columns(self) -> dict[str, Tensor]:
        """The columns by name, without an absent label."""
        return {k: v for k, v in vars(self).items() if v is not None}

    @property
    def lengths(self) -> Tensor:
        """The number of items in each history, (rows,) int64."""
        return self.end - self.begin

    def lengths_of(self, index: Tensor) -> Tensor:
        """The history lengths of the rows ``index`` (n,) alone."""
        return self.end[index] - self.begin[index]


@dataclass(frozen=True)
class DeviceData:
    """Everything a model is trained on and predicts, on one device.

    ``history_items`` (total,) int32 holds all histories; ``users`` int64 are the ids of train's
    users, ascending. The rows number their users 1 to ``n_users``.
    """

    users: Ints
    n_users: int
    rows: Mapping[Split, DeviceRows]
    history_items: Tensor

    @property
    def device(self) -> torch.device:
        return self.history_items.device

    @property
    def nbytes(self) -> int:
        columns = [c for rows in self.rows.values() for c in rows.columns.values()]
        return sum(tensor.nbytes for tensor in (*columns, self.history_items))

    def to(self, device: torch.device) -> "DeviceData":
        rows = {
            split: replace(r, **{name: c.to(device) for name, c in r.columns.items()})
            for split, r in self.rows.items()
        }
        return replace(self, rows=rows, history_items=self.history_items.to(device))

    def with_rows(
        self, split: Split, examples: Examples, signals: SignalValues | None
    ) -> "DeviceData":
        """A copy with a split's rows replaced by examples and their signals."""
        rows = _to_rows(examples, signals, self.users, self.device)
        return replace(self, rows={**self.rows, split: rows})

    def with_labels(self, index: Ints, labels: Floats64) -> "DeviceData":
        """A copy with other labels (n,) of the train rows ``index`` (n,)."""
        train = self.rows["train"]
        label = train.labels.clone()
        label[tensor(index, self.device)] = tensor(labels.astype(np.float32), self.device)
        return replace(self, rows={**self.rows, "train": replace(train, label=label)})


def to_device(data: ChallengeData, device: torch.device, max_history: int) -> DeviceData:
    """Copy the rows and histories to the device, without signals."""
    users = np.unique(data.train.user_id)
    rows = {s: _to_rows(data.examples(s, max_history), None, users, device) for s in SPLITS}
    return DeviceData(users, len(users), rows, tensor(data.histories.values, device))


def with_raw_users(device_data: DeviceData, data: ChallengeData, n_users: int) -> DeviceData:
    """A copy with user ids as user numbers, as published models have; 0 outside 1..n_users."""
    rows = {}
    for split in SPLITS:
        ids = data.rows[split].user_id
        inside = np.where((ids >= 1) & (ids <= n_users), ids, 0)
        rows[split] = replace(device_data.rows[split], user=tensor(inside, device_data.device))
    return replace(device_data, rows=rows, n_users=n_users)


def tensor(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """A copy of the array on the device (the cache's arrays are read-only maps)."""
    return torch.from_numpy(np.array(array)).to(device)


def _to_rows(
    examples: Examples, signals: SignalValues | None, users: Ints, device: torch.device
) -> DeviceRows:
    length = examples.lengths
    if signals is None:
        empty = np.zeros((int(length.sum()), 0), np.float32)
        signals = SignalValues(empty, np.zeros((len(examples), 0), np.float32))
    label = examples.label
    return DeviceRows(
        item=tensor(examples.item_id, device),
        likes_level=tensor(examples.likes_level.astype(np.int32), device),
        views_level=tensor(examples.views_level.astype(np.int32), device),
        user=tensor(find_sorted(users, examples.user_id) + 1, device),
        begin=tensor(examples.begin, device),
        end=tensor(examples.end, device),
        signals=tensor(signals.position.astype(np.float16), device),
        signal_begin=tensor(np.cumsum(length) - length, device),
        row_signals=tensor(signals.row.astype(np.float16), device),
        label=None if label is None else tensor(label.astype(np.float32), device),
    )


def make_batch(
    data: DeviceData, split: Split, index: Tensor, known_user: Tensor, positions: int | None = None
) -> Batch:
    """Cut the batch of the rows ``index`` (B,) of a split.

    ``known_user`` (n_users + 1,) bool marks the users in the rows that the model is trained on;
    every other user is 0, so a fold model sees the predicted fold's users as it sees test users.
    ``positions`` is a static number of history positions, no less than the histories have; the
    rest are dummies, and the host need not wait for the device to know the number.
    """
    rows = data.rows[split]
    end = rows.end[index]
    length = end - rows.begin[index]
    offsets = torch.nn.functional.pad(torch.cumsum(length, 0), (1, 0))
    if positions is None:
        row = torch.repeat_interleave(length)
    else:
        slots = torch.arange(positions, device=index.device)
        row = torch.searchsorted(offsets[1:], slots, right=True)
    # Row r's positions end where its history ends among all items, and begin where its signals do.
    history = data.history_items[_shifted(row, end - offsets[1:])].long()
    if rows.signals.shape[1]:
        signals = rows.signals[_shifted(row, rows.signal_begin[index] - offsets[:-1])].float()
    else:
        signals = torch.zeros(len(row), 0, device=row.device)
    return Batch(
        item=rows.item[index].long(),
        likes_level=rows.likes_level[index],
        views_level=rows.views_level[index],
        user=rows.user[index] * known_user[rows.user[index]],
        history=history,
        row=row,
        offsets=offsets,
        signals=signals,
        row_signals=rows.row_signals[index].float(),
    )


def _shifted(row: Tensor, shift: Tensor) -> Tensor:
    """Positions 0 to P - 1, each moved by the ``shift`` (B,) of its ``row`` (P,); 0 for dummies."""
    padded = torch.nn.functional.pad(shift, (0, 1))[row]
    position = torch.arange(len(row), device=row.device)
    return torch.where(row < len(shift), position + padded, 0)
