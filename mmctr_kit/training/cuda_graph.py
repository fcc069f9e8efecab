"""Run the steps of a chunk: eagerly, or as replays of one captured CUDA graph.

A replayed step costs the host one launch. It needs all inputs on the device, in static shapes: the
chunk's row numbers and paces are tables, a counter on the device picks the next row, and
dummies fill up a batch's history positions.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from mmctr_kit.activity import doing
from mmctr_kit.models.ops.gather import round_up
from mmctr_kit.training.data.batches import make_batch
from mmctr_kit.training.data.source import Chunk
from mmctr_kit.training.data.static_shapes import Buckets, StaticShapes, on_grid
from mmctr_kit.training.step import Step, eager

StepListener = Callable[[], None]
"""Called after each step was launched."""

_FINE = 7
_WARM_UP = 3


def resolve_steps(
    wanted: Literal["auto", "plain", "captured", "compiled"], device: torch.device
) -> Literal["plain", "captured", "compiled"]:
    """Resolve ``auto``: compiled and captured on a GPU; eager, without dummies, on a CPU."""
    if wanted == "auto":
        return "compiled" if device.type == "cuda" else "plain"
    return wanted


class EagerSteps:
    """Steps that the host launches one by one, with history positions finely rounded up."""

    compile_seconds = 0.0

    def __init__(self, step: Step) -> None:
        self.step = step

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
        for chosen, pace, count in zip(chunk.batches(), paces, chunk.positions, strict=True):
            self.step.pace.copy_(pace)
            total += self.step(chosen, round_up(count, _FINE), shapes.buckets)
            stepped()


class StaticSteps:
    """Steps of static shapes; on a GPU, replays of one captured step.

    If a batch has more history positions than the static shape, the shape grows; histories are
    never truncated. If the model cannot be compiled or the step not captured, a warning says so
    and training goes on without.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self.compile_seconds = 0.0
        device = step.data.device
        self._capture = device.type == "cuda"
        self._counter = torch.zeros(1, dtype=torch.long, device=device)
        self._loss = torch.zeros((), device=device)
        self._index = torch.zeros((0, 0), dtype=torch.long, device=device)
        self._paces = torch.zeros((0, 2), device=device)
        self._positions = 0
        self._buckets: Buckets = ()
        self._ready = False
        self._graph: torch.cuda.CUDAGraph | None = None

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
        for _ in chunk.sizes:
            if self._graph is None:
                self._next()
            else:
                self._graph.replay()
            stepped()
        total.copy_(self._loss)

    def _load(self, chunk: Chunk, paces: Tensor, shapes: StaticShapes) -> None:
        """Copy the chunk's tables to their memory, which grows if needed."""
        steps, size = len(chunk.sizes), chunk.sizes[0]
        if self.step.data is not chunk.data:
            self.step.data, self._ready = chunk.data, False
        if self._index.shape[1] != size or len(self._index) < steps:
            room = 1 << (steps - 1).bit_length()  # a chunk may have a few more than the one before
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

    def _prepare(self) -> None:
        """Compile and capture, then undo what the trial steps changed, random state included."""
        doing("compiling the training step")
        began = time.perf_counter()
        self._graph, self._ready = None, True
        before = {k: v.clone() for k, v in self.step.state().items()}
        device = self._index.device
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices), _aside(device):
            if self.step.forward is not eager:
                self._try_compiled()
            if self._capture:
                self._try_capture()
        self.step.fill(before)
        self.step.optimizer.zero_grad()
        self.compile_seconds += time.perf_counter() - began

    def _try_compiled(self) -> None:
        """Run a trial step; if it fails, without compiled batches, and then without compiling."""
        error = self._trial()
        if error is None:
            return
        self.step.batches = make_batch
        if self._trial() is None:
            _without("compiled batches", error)
        else:
            self.step.forward = eager
            _without("torch.compile", error)

    def _trial(self) -> Exception | None:
        try:
            with warnings.catch_warnings():
                # The recipe asks for float32, or the products are in bf16 anyway.
                warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)
                # From torch's tracing of an autograd function.
                warnings.filterwarnings(
                    "ignore", ".*autograd.function.Function", DeprecationWarning
                )
                self._counter.zero_()
                self._next()
        except torch.OutOfMemoryError:
            raise
        except Exception as e:  # a compiler can fail in any way, and training can do without
            return e
        return None

    def _try_capture(self) -> None:
        graph = torch.cuda.CUDAGraph()
        try:
            for _ in range(_WARM_UP):
                self._counter.zero_()
                self._next()
            self.step.optimizer.zero_grad()
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                self._next()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as e:
            self._capture = False
            torch.cuda.synchronize()
            _without("a CUDA graph", e)
        else:
            self._graph = graph


def _without(what: str, error: Exception) -> None:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    warnings.warn(f"training goes on without {what}, slower: {reason[0]}", stacklevel=2)


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
