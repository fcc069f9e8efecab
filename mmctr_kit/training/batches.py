"""The data set on a device, and batches cut from it: no host work per row, no padding."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mmctr_kit.challenge.contract import SPLITS, Split
from mmctr_kit.challenge.data import ChallengeData, Rows
from mmctr_kit.models.batch import Batch


@dataclass(frozen=True)
class DeviceRows:
    """One split's columns on the device, all (rows,); ``label`` float32, None for test.

    ``user`` numbers the users of train from 1; a user of no train row is 0.
    """

    item: Tensor
    likes_level: Tensor
    views_level: Tensor
    user: Tensor
    history: Tensor
    label: Tensor | None

    def __len__(self) -> int:
        return len(self.item)


@dataclass(frozen=True)
class DeviceData:
    """Everything a model is trained on and predicts, on one device.

    Histories as CSR: ``history_items`` (total,) int32, ``history_offsets`` (histories + 1,) int64.
    ``n_users`` counts the users of train.
    """

    n_users: int
    rows: Mapping[Split, DeviceRows]
    history_items: Tensor
    history_offsets: Tensor

    @property
    def device(self) -> torch.device:
        return self.history_items.device


def to_device(data: ChallengeData, device: torch.device) -> DeviceData:
    """Copy the rows and histories to the device, once."""
    users = np.unique(data.train.user_id)
    return DeviceData(
        n_users=len(users),
        rows={s: _rows_to(data.rows[s], users, device) for s in SPLITS},
        history_items=tensor(data.histories.items, device),
        history_offsets=tensor(data.histories.offsets, device),
    )


def with_raw_users(device_data: DeviceData, data: ChallengeData, n_users: int) -> DeviceData:
    """The same data with each user's own id as their number, 0 for ids not in 1..n_users.

    So published checkpoints number their users.
    """
    rows = {}
    for split in SPLITS:
        ids = data.rows[split].user_id
        inside = np.where((ids >= 1) & (ids <= n_users), ids, 0)
        rows[split] = replace(device_data.rows[split], user=tensor(inside, device_data.device))
    return replace(device_data, rows=rows, n_users=n_users)


def tensor(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """A copy of the array on the device (the cache's arrays are read-only maps)."""
    return torch.from_numpy(np.array(array)).to(device)


def _rows_to(rows: Rows, users: NDArray[np.int64], device: torch.device) -> DeviceRows:
    place = np.minimum(np.searchsorted(users, rows.user_id), len(users) - 1)
    user = np.where(users[place] == rows.user_id, place + 1, 0)
    return DeviceRows(
        item=tensor(rows.item_id, device),
        likes_level=tensor(rows.likes_level.astype(np.int32), device),
        views_level=tensor(rows.views_level.astype(np.int32), device),
        user=tensor(user, device),
        history=tensor(rows.history.astype(np.int64), device),
        label=None if rows.label is None else tensor(rows.label.astype(np.float32), device),
    )


def make_batch(
    data: DeviceData, split: Split, index: Tensor, max_history: int, known_user: Tensor
) -> Batch:
    """The rows ``index`` (B,) of a split, each with the most recent ``max_history`` items.

    ``known_user`` (n_users + 1,) bool marks the users in the rows that the model is trained on;
    any other user is 0, so that a fold model meets its own fold's users as it meets test's.
    """
    rows = data.rows[split]
    history = rows.history[index]
    end = data.history_offsets[history + 1]
    length = torch.clamp(end - data.history_offsets[history], max=max_history)
    offsets = torch.nn.functional.pad(torch.cumsum(length, 0), (1, 0))
    row = torch.repeat_interleave(length)
    # Row r's positions end where its history ends in the CSR array.
    shift = end - offsets[1:]
    position = torch.arange(len(row), device=row.device) + shift[row]
    return Batch(
        item=rows.item[index].long(),
        likes_level=rows.likes_level[index],
        views_level=rows.views_level[index],
        user=rows.user[index] * known_user[rows.user[index]],
        history=data.history_items[position].long(),
        row=row,
        offsets=offsets,
    )


class RowStream:
    """Training rows in an endless sequence of permutations, cut into batches of one size.

    The rows left over at the end of a permutation roll into the next, so no batch is ever small.
    Batch ``step`` is a function of (seed, step) alone, which is what makes resuming exact.
    """

    def __init__(self, rows: Tensor, batch_size: int, seed: int) -> None:
        self.rows = rows
        self.batch_size = min(batch_size, len(rows))
        self._seed = seed
        self._known: dict[int, Tensor] = {}

    @property
    def steps_per_epoch(self) -> int:
        """Steps after which every row was seen (at least) once."""
        return -(-len(self.rows) // self.batch_size)

    def batch(self, step: int) -> Tensor:
        """(batch_size,) row numbers of that step."""
        n = len(self.rows)
        begin = step * self.batch_size
        first, last = begin // n, (begin + self.batch_size - 1) // n
        if first == last:
            return self._permutation(first)[begin - first * n :][: self.batch_size]
        head = self._permutation(first)[begin - first * n :]
        return torch.cat([head, self._permutation(last)[: self.batch_size - len(head)]])

    def _permutation(self, number: int) -> Tensor:
        if number not in self._known:
            generator = torch.Generator().manual_seed(mix(self._seed, number))
            order = torch.randperm(len(self.rows), generator=generator)
            kept = {k: v for k, v in self._known.items() if k == number - 1}
            self._known = kept | {number: self.rows[order.to(self.rows.device)]}
        return self._known[number]


def mix(*parts: int) -> int:
    """One 63-bit seed from several integers; different parts give unrelated seeds."""
    state = np.random.SeedSequence([p & 0xFFFFFFFFFFFFFFFF for p in parts])
    return int(state.generate_state(1, np.uint64)[0] >> np.uint64(1))
