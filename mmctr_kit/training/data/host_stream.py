"""Rows that lie on the host, for a device that is too small for them.

While the device works on a chunk, a thread cuts the next from the host's columns, in packed form,
into page-locked memory. All that concerns the device is done by the thread that trains, and on its
current stream:

- A chunk is copied to one place on the device, always the same, so that a captured step finds it.
  On one stream the copy waits for the steps on the chunk before, and the steps for the copy.
  It is not hidden behind them: it is small, some 30 bytes a position with all signals, beside what
  a step does with a position.
- The page-locked memory is twofold. A half is cut into again when the event behind its copy has
  passed; for that the host waits with one chunk's steps launched, so the device has work.
- The other thread makes no call to the device. One could break a capture in progress.
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
from mmctr_kit.training.data.source import Chunk, OnDevice, Place, Source, batch_positions
from mmctr_kit.training.device import free_bytes

CHUNK_ROWS, CHUNK_POSITIONS = 1 << 18, 1 << 22
"""A chunk's rows and history positions, at most, but where one batch has more: about 100 MB with
all signals."""

_MARGIN = 1.1
"""What a batch that is larger than a chunk is given beyond its size, so that the next fits too."""

_FIRST = 1
"""A chunk's histories begin at this position. Before it stands what the dummies of a batch of fixed
size read, the whole's first, so that a batch is the same wherever its rows lie."""

_OF_POSITIONS = ("signals",)
_CUT = ("begin", "end", "signal_begin")
_COPIED = tuple(f.name for f in fields(DeviceRows) if f.name not in (*_OF_POSITIONS, *_CUT))
"""Columns of a chunk's rows that are just those of the whole's."""


@dataclass(frozen=True)
class Buffers:
    """Room for a chunk of any split: one history after another, so that ``begin`` and
    ``signal_begin`` are one column."""

    rows: DeviceRows
    history_items: Tensor

    def send(self, other: "Buffers", rows: int, positions: int) -> None:
        """Copy what a chunk of so many rows and positions has in here to the other's."""
        for name in (*_COPIED, "begin", "end"):
            _column(other.rows, name)[:rows].copy_(_column(self.rows, name)[:rows], True)
        end = _FIRST + positions
        other.rows.signals[:end].copy_(self.rows.signals[:end], True)
        other.history_items[:end].copy_(self.history_items[:end], True)


class Slot:
    """Buffers on the host, and the event behind the copy from them, if any."""

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self.copied: torch.cuda.Event | None = None

    def wait(self) -> None:
        """Until the buffers may be written to."""
        if self.copied is not None:
            self.copied.synchronize()
            self.copied = None


class OnHost:
    """Rows of ``whole``, on the host, in chunks on ``device``; see the module.

    A chunk has at most ``rows`` rows and ``positions`` history positions, or one batch.
    """

    place: Place = "host"

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
        held = [(sum(sizes[run]), sum(positions[run])) for run in runs]
        self._make_room(held)
        parts = torch.split(index, [rows for rows, _ in held])
        for number, slot in enumerate(self._ahead(split, parts)):
            (rows, places), run = held[number], runs[number]
            self._send(slot, rows, places)
            yield Chunk(self.data, split, self._numbers[:rows], sizes[run], positions[run])

    def _ahead(self, split: Split, parts: Sequence[Tensor]) -> Iterator[Slot]:
        """The parts, each cut by the thread while the one before is in use."""
        cutting: list[Future[Slot]] = []
        for number, part in enumerate(parts):
            slot = self._slots[number % 2]
            slot.wait()
            # After whatever it was asked before: of chunks that nobody went on with, too.
            cutting.append(self._cutter.submit(cut, self.whole, split, part, slot))
            if number > 0:
                yield cutting.pop(0).result()
        for last in cutting:
            yield last.result()

    def _send(self, slot: Slot, rows: int, positions: int) -> None:
        slot.buffers.send(self._buffers, rows, positions)
        if self.device.type == "cuda":
            slot.copied = torch.cuda.current_stream(self.device).record_event()

    def _make_room(self, held: Sequence[tuple[int, int]]) -> None:
        """Make larger buffers where a part, of one batch then, is beyond those that are there."""
        room = (len(self._buffers.rows), len(self._buffers.history_items) - _FIRST)
        needed = [max((part[i] for part in held), default=0) for i in (0, 1)]
        if needed[0] > room[0] or needed[1] > room[1]:
            grown = [max(int(_MARGIN * n), r) for n, r in zip(needed, room, strict=True)]
            self._make(*grown)

    def _make(self, rows: int, positions: int) -> None:
        # Predictions, in inference mode, may be what needs them; steps are to write to them too.
        with torch.inference_mode(False):
            pinned = self.device.type == "cuda"
            host = self.whole.device
            self._slots = [Slot(_buffers(self.whole, rows, positions, host, pinned)) for _ in "ab"]
            self._buffers = _buffers(self.whole, rows, positions, self.device, False)
            self._numbers = torch.arange(rows, device=self.device)
        columns = self._buffers.rows
        without = replace(columns, label=None)
        self.data = replace(
            self.whole,
            rows={s: without if r.label is None else columns for s, r in self.whole.rows.items()},
            history_items=self._buffers.history_items,
        )


def cut(whole: DeviceData, split: Split, index: Tensor, slot: Slot) -> Slot:
    """Put the rows ``index`` (rows,) of a split, with all of their histories and signals, into the
    slot's buffers, which have room."""
    rows, buffers = whole.rows[split], slot.buffers
    n, begin, length = len(index), rows.begin[index], rows.lengths_of(index)
    end = torch.cumsum(length, 0) + _FIRST
    to = buffers.rows
    torch.sub(end, length, out=to.begin[:n])
    to.end[:n].copy_(end)
    for name in _COPIED:
        if getattr(rows, name) is not None:
            torch.index_select(_column(rows, name), 0, index, out=_column(to, name)[:n])
    shift = end - length
    _spans(whole.history_items, begin - shift, length, buffers.history_items)
    if rows.signals.shape[1]:
        _spans(rows.signals, rows.signal_begin[index] - shift, length, to.signals)
    return slot


def _spans(values: Tensor, shift: Tensor, length: Tensor, out: Tensor) -> None:
    """The first value and then spans (rows,) of these lengths, one after another: that of a row
    stands in ``values`` its ``shift`` behind where it goes."""
    place = torch.repeat_interleave(shift, length)
    place += torch.arange(_FIRST, _FIRST + len(place))
    first = values[:_FIRST]  # none, where a split has no history at all
    out[: len(first)].copy_(first)
    torch.index_select(values, 0, place, out=out[_FIRST : _FIRST + len(place)])


def _runs(
    sizes: Sequence[int], positions: Sequence[int], most_rows: int, most_positions: int
) -> Iterator[slice]:
    """Slices of consecutive batches that have at most so many rows and positions, or of one."""
    begin = rows = places = 0
    for at, (size, count) in enumerate(zip(sizes, positions, strict=True)):
        if at > begin and (rows + size > most_rows or places + count > most_positions):
            yield slice(begin, at)
            begin, rows, places = at, 0, 0
        rows, places = rows + size, places + count
    if sizes:
        yield slice(begin, len(sizes))


def _buffers(
    like: DeviceData, rows: int, positions: int, device: torch.device, pinned: bool
) -> Buffers:
    def empty(column: Tensor, size: int) -> Tensor:
        shape = (size, *column.shape[1:])
        return torch.empty(shape, dtype=column.dtype, device=device, pin_memory=pinned)

    train = like.rows["train"]
    columns = {f.name: _column(train, f.name) for f in fields(train)}
    made = {
        name: empty(c, _FIRST + positions if name in _OF_POSITIONS else rows)
        for name, c in columns.items()
    }
    made["signal_begin"] = made["begin"]
    return Buffers(DeviceRows(**made), empty(like.history_items, _FIRST + positions))


def _column(rows: DeviceRows, name: str) -> Tensor:
    column = getattr(rows, name)
    assert isinstance(column, Tensor)
    return column


SHARE = 0.5
"""Of what is free on a device, what the data may take. The rest is for weights, their gradients
and moments, a step's activations, and a graph's memory, which depend on recipe and compiler."""


def place(whole: DeviceData, device: torch.device, data_on: Place | Literal["auto"]) -> Source:
    """The source of batches on ``device`` of data that lies on the host.

    ``auto`` keeps it there where it takes more than :data:`SHARE` of the device's free memory, and
    a warning says so.
    """
    if data_on == "auto":
        free = free_bytes(device)
        fits = free is None or whole.nbytes <= SHARE * free
        data_on = "device" if fits else "host"
        if free is not None and not fits:
            warnings.warn(
                f"the data takes {_gb(whole.nbytes)}, more than half of the {_gb(free)} that are "
                "free on the GPU; it stays on the host and goes there in chunks, slower "
                "(training.data_on)",
                stacklevel=2,
            )
    return OnDevice(whole.to(device)) if data_on == "device" else OnHost(whole, device)


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
