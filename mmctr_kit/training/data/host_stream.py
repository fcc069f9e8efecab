"""Choose where rows are stored, and stream them from the host if the device is too small.

While the device works on a chunk, a thread cuts the next one from the host's columns, in packed
form, into page-locked memory. Only the training thread talks to the device, on its current stream:

- A chunk is always copied to the same memory of the device, so that a captured step finds it. On
  one stream the copy waits for the steps on the chunk before, and the steps wait for the copy. It
  is not hidden behind them, since it is small: some 30 bytes a position with all signals.
- There are two slots of page-locked memory. A slot is written again after the event that follows
  its copy; while the host waits for it, the device has the steps of one chunk to do.
- The other thread never calls the device, because a call could break a capture in progress.
"""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from torch import Tensor

from mmctr_kit.data.contract import Split
from mmctr_kit.training.data.batches import DeviceData, DeviceRows
from mmctr_kit.training.data.source import Chunk, OnDevice, Source, batch_positions
from mmctr_kit.training.device import free_bytes
from mmctr_kit.training.learner import Location

SHARE = 0.5
"""Share of a device's free memory that the data may take. The rest is for weights, gradients and
moments, activations, and a graph's memory, which depend on recipe and compiler."""

CHUNK_ROWS, CHUNK_POSITIONS = 1 << 18, 1 << 22
"""The most rows and history positions of a chunk, unless one batch has more: about 100 MB with all
signals."""

_MARGIN = 1.1
"""Slack when the buffer grows for an oversized batch, so that the next one fits as well."""

_FIRST = 1
"""A chunk's histories begin at this position. Before it stands the first position of the whole
data, which dummies read, so that a batch is the same wherever its rows are stored."""

_CUT = ("begin", "end", "signals", "signal_begin")
_COPIED = tuple(f.name for f in fields(DeviceRows) if f.name not in _CUT)
"""Columns that a chunk copies from the whole data unchanged."""


def choose_source(
    whole: DeviceData, device: torch.device, data_on: Location | Literal["auto"]
) -> Source:
    """The source of data stored on the host; ``auto`` leaves it there if it exceeds SHARE."""
    if data_on == "auto":
        free = free_bytes(device)
        data_on = "device" if free is None or whole.nbytes <= SHARE * free else "host"
        if free is not None and data_on == "host":
            warnings.warn(
                f"the data takes {whole.nbytes / 1e9:.1f} GB, more than half of the "
                f"{free / 1e9:.1f} GB that are free on the GPU; it stays on the host and goes to "
                "the GPU in chunks, which is slower (training.data_on)",
                stacklevel=2,
            )
    return OnDevice(whole.to(device)) if data_on == "device" else OnHost(whole, device)


@dataclass(eq=False)
class Buffers:
    """Memory for a chunk of any split; ``begin`` and ``signal_begin`` are one column.

    ``copied`` is the event after the last copy from these buffers, if any.
    """

    rows: DeviceRows
    history_items: Tensor
    copied: torch.cuda.Event | None = None

    def send(self, other: "Buffers", rows: int, positions: int) -> None:
        """Copy a chunk of ``rows`` rows and ``positions`` positions to the other buffers."""
        mine, theirs = self.rows.columns, other.rows.columns
        for name in (*_COPIED, "begin", "end"):
            theirs[name][:rows].copy_(mine[name][:rows], True)
        end = _FIRST + positions
        other.rows.signals[:end].copy_(self.rows.signals[:end], True)
        other.history_items[:end].copy_(self.history_items[:end], True)

    def wait(self) -> None:
        """Wait until the buffers may be written to."""
        if self.copied is not None:
            self.copied.synchronize()
            self.copied = None


class OnHost:
    """Rows of ``whole`` on the host, sent to ``device`` in chunks of this size, or of one batch."""

    location: Location = "host"

    def __init__(
        self,
        whole: DeviceData,
        device: torch.device,
        rows: int = CHUNK_ROWS,
        positions: int = CHUNK_POSITIONS,
    ) -> None:
        self.whole, self.device = whole, device
        self._cutter = ThreadPoolExecutor(1)
        splits = whole.rows.values()
        self._rows = min(rows, max(map(len, splits)))
        self._positions = min(positions, max(int(s.lengths.sum()) for s in splits))
        self._make(self._rows, self._positions)

    def chunks(self, split: Split, index: Tensor, sizes: Sequence[int]) -> Iterator[Chunk]:
        """See :class:`mmctr_kit.training.data.source.Source`."""
        index = index.cpu()
        lengths = self.whole.rows[split].lengths_of(index)
        positions = batch_positions(lengths, sizes) if sizes else []
        runs = list(_runs(sizes, positions, self._rows, self._positions))
        totals = [(sum(sizes[run]), sum(positions[run])) for run in runs]
        self._make_room(totals)
        parts = torch.split(index, [rows for rows, _ in totals])
        for slot, run, (rows, total) in zip(self._ahead(split, parts), runs, totals, strict=True):
            self._send(slot, rows, total)
            yield Chunk(self.data, split, self._numbers[:rows], sizes[run], positions[run])

    def _ahead(self, split: Split, parts: Sequence[Tensor]) -> Iterator[Buffers]:
        """The slots with the parts, each cut by the thread while the one before is in use."""
        cutting: list[Future[Buffers]] = []
        for number, part in enumerate(parts):
            slot = self._slots[number % 2]
            slot.wait()
            # One thread cuts in order, so an abandoned call's chunks cannot overwrite these.
            cutting.append(self._cutter.submit(cut, self.whole, split, part, slot))
            if number > 0:
                yield cutting.pop(0).result()
        for last in cutting:
            yield last.result()

    def _send(self, slot: Buffers, rows: int, positions: int) -> None:
        slot.send(self._buffers, rows, positions)
        if self.device.type == "cuda":
            slot.copied = torch.cuda.current_stream(self.device).record_event()

    def _make_room(self, totals: Sequence[tuple[int, int]]) -> None:
        """Make larger buffers if a chunk of one batch exceeds the present ones."""
        room = (len(self._buffers.rows), len(self._buffers.history_items) - _FIRST)
        needed = [max((total[i] for total in totals), default=0) for i in (0, 1)]
        if needed[0] > room[0] or needed[1] > room[1]:
            grown = [max(int(_MARGIN * n), r) for n, r in zip(needed, room, strict=True)]
            self._make(*grown)

    def _make(self, rows: int, positions: int) -> None:
        # Also if a prediction, in inference mode, needs them first: steps write to them too.
        with torch.inference_mode(False):
            pinned = self.device.type == "cuda"
            host = self.whole.device
            self._slots = [_buffers(self.whole, rows, positions, host, pinned) for _ in "ab"]
            self._buffers = _buffers(self.whole, rows, positions, self.device, False)
            self._numbers = torch.arange(rows, device=self.device)
        columns = self._buffers.rows
        without = replace(columns, label=None)
        self.data = replace(
            self.whole,
            rows={s: without if r.label is None else columns for s, r in self.whole.rows.items()},
            history_items=self._buffers.history_items,
        )


def cut(whole: DeviceData, split: Split, index: Tensor, slot: Buffers) -> Buffers:
    """Write the rows ``index`` (rows,) of a split, with histories and signals, into a slot."""
    rows, to = whole.rows[split], slot.rows
    n, begin, length = len(index), rows.begin[index], rows.lengths_of(index)
    end = torch.cumsum(length, 0) + _FIRST
    torch.sub(end, length, out=to.begin[:n])
    to.end[:n].copy_(end)
    for name, column in rows.columns.items():
        if name in _COPIED:
            torch.index_select(column, 0, index, out=to.columns[name][:n])
    shift = end - length
    _spans(whole.history_items, begin - shift, length, slot.history_items)
    if rows.signals.shape[1]:
        _spans(rows.signals, rows.signal_begin[index] - shift, length, to.signals)
    return slot


def _spans(values: Tensor, shift: Tensor, length: Tensor, out: Tensor) -> None:
    """Write the first value, then each row's span of ``values``, of this ``length`` (rows,).

    A row's span stands in ``values`` its ``shift`` behind its position in ``out``.
    """
    position = torch.repeat_interleave(shift, length)
    position += torch.arange(_FIRST, _FIRST + len(position))
    first = values[:_FIRST]  # empty if a split has no history at all
    out[: len(first)].copy_(first)
    torch.index_select(values, 0, position, out=out[_FIRST : _FIRST + len(position)])


def _runs(
    sizes: Sequence[int], positions: Sequence[int], most_rows: int, most_positions: int
) -> Iterator[slice]:
    """Slices of consecutive batches within these numbers of rows and positions, or of one batch."""
    begin = rows = total = 0
    for at, (size, count) in enumerate(zip(sizes, positions, strict=True)):
        if at > begin and (rows + size > most_rows or total + count > most_positions):
            yield slice(begin, at)
            begin, rows, total = at, 0, 0
        rows, total = rows + size, total + count
    if sizes:
        yield slice(begin, len(sizes))


def _buffers(
    like: DeviceData, rows: int, positions: int, device: torch.device, pinned: bool
) -> Buffers:
    def empty(column: Tensor, size: int) -> Tensor:
        shape = (size, *column.shape[1:])
        return torch.empty(shape, dtype=column.dtype, device=device, pin_memory=pinned)

    made = {
        name: empty(column, _FIRST + positions if name == "signals" else rows)
        for name, column in like.rows["train"].columns.items()
    }
    made["signal_begin"] = made["begin"]
    return Buffers(DeviceRows(**made), empty(like.history_items, _FIRST + positions))
