"""A CUDA graph for a machine without CUDA: the operations of a step, recorded and run again.

As in a graph, whatever is read must lie where it lay, and only what the step itself writes changes;
the host's own work is done once. What makes a host wait for the device is an error.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS = {"_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "_unique2"}


def tensors(values: Any) -> list[Tensor]:
    return [t for t in tree_leaves(values) if isinstance(t, Tensor)]


def place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class Recorder(TorchDispatchMode):
    """Notes each operation as it runs, with its very tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, tuple[Any, ...], Mapping[str, Any], list[Tensor]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func.overloadpacket.__name__ in WAITS:
            raise RuntimeError(f"the host waits: {func}")
        result = func(*args, **(kwargs or {}))
        inside = {place(t) for t in tensors((args, kwargs))}
        made = tensors(result)
        if func._schema.is_mutable or not all(place(t) in inside for t in made):  # no mere view
            self.operations.append((func, args, kwargs or {}, made))
        return result

    def replay(self) -> None:
        with torch.no_grad():
            for func, args, kwargs, made in self.operations:
                again = func(*args, **kwargs)
                if not func._schema.is_mutable:
                    for old, new in zip(made, tensors(again), strict=True):
                        old.copy_(new)


def record(rewind: Callable[[], object], work: Callable[[], object]) -> Recorder:
    """The recording of some work, as :data:`mmctr_kit.training.step_modes.Capture` makes one."""
    rewind()
    recorder = Recorder()
    with recorder:
        work()
    return recorder


def capture_on_cpu(monkeypatch: pytest.MonkeyPatch) -> list[Recorder]:
    """Steps that are captured from now on replay recordings, by the paths that a GPU takes; the
    list gets each recording."""
    found = list[Recorder]()

    def captured(rewind: Callable[[], object], work: Callable[[], object]) -> Callable[[], None]:
        found.append(record(rewind, work))
        return found[-1].replay

    for room in ("fit", "neural", "cuda_graph"):
        monkeypatch.setattr(f"mmctr_kit.training.{room}.capture_on", lambda _: captured)
    return found
