"""Run the steps of a chunk: eagerly, or as replays of one captured CUDA graph.

A replayed step costs the host one launch. It needs all inputs on the device, in static shapes: the
chunk's row numbers and paces are tables, a counter on the device picks the next row, and
dummies fill up a batch's history positions.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor

from mmctr_kit.activity import doing
from mmctr_kit.errors import RunError
from mmctr_kit.models.ops.gather import round_up
from mmctr_kit.models.ops.triton_probe import triton_gap, warn_without_triton
from mmctr_kit.training.data.batches import make_batch
from mmctr_kit.training.data.source import Chunk
from mmctr_kit.training.data.static_shapes import Buckets, StaticShapes, on_grid
from mmctr_kit.training.device_check import check_device
from mmctr_kit.training.step import Step, eager
from mmctr_kit.training.step_check import as_plain, find_fault, undone, verdict
from mmctr_kit.training.step_modes import Mode, Modes, capture_on

StepListener = Callable[[], None]
"""Called after each step was launched."""

_FINE = 7


class EagerSteps:
    """Steps that the host launches one by one, with history positions finely rounded up."""

    compile_seconds = 0.0

    def __init__(self, step: Step, modes: Modes | None = None) -> None:
        self.step = step
        self.modes = modes or Modes()
        self._ready = False

    def run(
        self,
        chunk: Chunk,
        paces: Tensor,
        total: Tensor,
        shapes: StaticShapes,
        stepped: StepListener = lambda: None,
    ) -> None:
        """Train on the chunk's S batches, adding their losses to ``total`` ().

        ``paces`` (S, 2): the :attr:`Step.pace` of each.
        """
        self.step.data = chunk.data
        if not self._ready:
            check_device(self.step, self.modes, chunk.index)
            self._ready = True
        for chosen, pace, count in zip(chunk.batches(), paces, chunk.positions, strict=True):
            self.step.pace.copy_(pace)
            total += self.step(chosen, round_up(count, _FINE), shapes.buckets)
            stepped()


class StaticSteps:
    """Steps of static shapes, in the fastest of the ``modes`` that works and passes the check.

    If a batch has more history positions than the static shape, the shape grows; histories are
    never truncated. If the model cannot be compiled or the step not captured, or if such steps are
    not those that a plain step is (:mod:`mmctr_kit.training.step_check`), a warning says so and
    training goes on in the next mode. RunError if even plain steps of static shapes differ.
    """

    def __init__(self, step: Step, modes: Modes | None = None) -> None:
        self.step = step
        self.compile_seconds = 0.0
        device = step.data.device
        self.modes = modes or Modes(step.forward, step.batches, capture_on(device))
        self._counter = torch.zeros(1, dtype=torch.long, device=device)
        self._loss = torch.zeros((), device=device)
        self._index = torch.zeros((0, 0), dtype=torch.long, device=device)
        self._paces = torch.zeros((0, 2), device=device)
        self._positions = 0
        self._buckets: Buckets = ()
        self._ready = False
        self._replay: Callable[[], None] | None = None

    def run(
        self,
        chunk: Chunk,
        paces: Tensor,
        total: Tensor,
        shapes: StaticShapes,
        stepped: StepListener = lambda: None,
    ) -> None:
        """Train on the chunk's S batches, as :meth:`EagerSteps.run` does."""
        self._load(chunk, paces, shapes)
        if not self._ready:
            self._prepare()
        self._counter.zero_()
        self._loss.copy_(total)
        go = self._replay or self._next
        for _ in chunk.sizes:
            go()
            stepped()
        total.copy_(self._loss)

    def _load(self, chunk: Chunk, paces: Tensor, shapes: StaticShapes) -> None:
        """Copy the chunk's tables to their memory, which grows if needed."""
        steps, size = len(chunk.sizes), chunk.sizes[0]
        if self.step.data is not chunk.data:
            self.step.data, self._ready = chunk.data, False
        if self._index.shape[1] != size or len(self._index) < steps:
            # A chunk may have a few more than the one before, and the check needs two.
            room = 1 << max(1, (steps - 1).bit_length())
            self._index, self._paces = chunk.index.new_empty(room, size), paces.new_empty(room, 2)
            self._ready = False
        # Whatever earlier chunks needed: a resumed fit has not seen them.
        positions = max(shapes.positions, on_grid(max(chunk.positions)))
        if (positions, shapes.buckets) != (self._positions, self._buckets):
            self._positions, self._buckets, self._ready = positions, shapes.buckets, False
        self._index[:steps].copy_(chunk.index.view(steps, size))
        self._paces[:steps].copy_(paces)

    def _next(self) -> None:
        """Run the step that the counter points to."""
        rows = self._index.index_select(0, self._counter).squeeze(0)
        self.step.pace.copy_(self._paces.index_select(0, self._counter).squeeze(0))
        self._loss += self.step(rows, self._positions, self._buckets)
        self._counter += 1

    def _rewind(self) -> None:
        """Point to the first step."""
        self._counter.zero_()
        self.step.optimizer.zero_grad()

    def _prepare(self) -> None:
        """Find a mode that works, then undo what the trial steps changed, random state included."""
        doing("preparing the training step")
        began = time.perf_counter()
        self._ready = True
        check_device(self.step, self.modes, self._index[0])
        with undone(self.step) as before:
            while not self._works(self.modes.mode, before):
                self.step.fill(before)
        self.compile_seconds += time.perf_counter() - began

    def _works(self, mode: Mode, before: Mapping[str, Tensor]) -> bool:
        """Set the mode up, and check it from a state; False if it was given up."""
        sizes = [self._index.shape[1], self._positions, self._buckets]
        with _aside(self._index.device):
            if not self._set_up(mode):
                return False
            self.step.fill(before)
            fault = verdict(self.step, self.modes, {"mode": mode, "sizes": sizes}, self._fault)
        if fault and mode == "plain":
            raise RunError(
                f"steps of fixed size are not plain ones here ({fault}); set training.steps=plain"
            )
        if fault:
            self.modes.give_up(mode, f"{mode} steps", f"they are wrong here ({fault})")
        return not fault

    def _set_up(self, mode: Mode) -> bool:
        """Compile and capture as the mode says; False if that fails and was given up."""
        modes, self._replay = self.modes, None
        self.step.forward, self.step.batches = eager, make_batch
        on_gpu = self._index.is_cuda
        if "compiled" in mode and on_gpu and warn_without_triton():
            modes.lack_compiler(triton_gap())
            return False
        if "compiled" in mode:
            if on_gpu:
                doing("compiling the training step, which takes about a minute the first time")
            self.step.forward, self.step.batches = modes.forward, modes.batches
            if error := self._trial():
                self.step.batches = modes.batches = make_batch
                if self._trial():
                    modes.give_up("compiled", "torch.compile", error)
                    return False
                modes.go_without("compiled batches", error)
        if "captured" in mode:
            assert modes.capture is not None
            try:
                self._replay = modes.capture(self._rewind, self._next)
            except torch.OutOfMemoryError:
                raise
            except Exception as e:  # whatever it is, training can do without
                modes.give_up("captured", "a CUDA graph", e)
                return False
        return True

    def _trial(self) -> Exception | None:
        try:
            with warnings.catch_warnings():
                # The recipe asks for float32, or the products are in bf16 anyway.
                warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)
                # From torch's own tracing and compiler.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._rewind()
                self._next()
        except torch.OutOfMemoryError:
            raise
        except Exception as e:  # a compiler can fail in any way, and training can do without
            if self._index.is_cuda:
                torch.cuda.synchronize()  # which fails if it is the GPU that has failed
            return e
        return None

    def _fault(self) -> str:
        """How the step that was set up differs from a plain one, on two batches; "" if not."""
        doing("checking the training step")
        tables = self._index[:2], self._paces[:2]
        kept = [table.clone() for table in tables]
        rows, size = self._index[0], self._index.shape[1]
        # The second: the shorter half, each row twice, so that no slot has a longer history.
        lengths = self.step.data.rows["train"].lengths_of(rows)
        later = (torch.arange(size, device=rows.device) + size) // 2
        batches = torch.stack([rows, rows[lengths.argsort(descending=True)[later]]])

        def plain(number: int) -> Tensor:
            with as_plain(self.step):
                return self.step(batches[number], None, self._buckets)

        def launched(go: Callable[[], None], number: int) -> Tensor:
            if number == 0:
                self._rewind()
            self._loss.zero_()
            go()
            return self._loss

        replay = partial(launched, self._replay) if self._replay else None
        try:
            tables[0].copy_(batches)
            tables[1].copy_(kept[1][0])
            return find_fault(self.step, plain, partial(launched, self._next), replay) or ""
        finally:
            for table, values in zip(tables, kept, strict=True):
                table.copy_(values)


@contextmanager
def _aside(device: torch.device) -> Iterator[None]:
    """On a GPU, a side stream for a capture and everything before it.

    Autograd remembers the stream that a parameter was first used on, and cannot capture on another.
    A failed capture leaves its stream the current one; here that ends.
    """
    if device.type != "cuda":
        yield
        return
    before, side = torch.cuda.current_stream(device), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    side.wait_stream(before)
    with torch.cuda.stream(side):
        yield
    before.wait_stream(side)
