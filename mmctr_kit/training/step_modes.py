"""How training steps are run - compiled, captured or plain - and what was given up on the way."""

import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from mmctr_kit.training.data.batches import make_batch
from mmctr_kit.training.step import Batches, Forward, eager

Mode = Literal["compiled + captured", "compiled", "captured", "plain"]
LADDER: tuple[Mode, ...] = ("compiled + captured", "compiled", "captured", "plain")
"""The modes, the fastest first: if one fails, the next is tried."""

Work = Callable[[], object]

Capture = Callable[[Work, Work], Callable[[], None]]
"""Captures the second piece of work, calling the first before it, and returns what replays it."""

_WARM_UP = 3
_HINT = " (all of it will be in timings.json of a run's fold folders)"
_HANDLED = (KeyError, AttributeError, StopIteration)
"""Exceptions that code handles in passing; what is raised meanwhile has other causes."""


def resolve_steps(
    wanted: Literal["auto", "plain", "captured", "compiled"], device: torch.device
) -> Literal["plain", "captured", "compiled"]:
    """Resolve ``auto``: compiled and captured on a GPU; eager, without dummies, on a CPU."""
    if wanted == "auto":
        return "compiled" if device.type == "cuda" else "plain"
    return wanted


def cuda_graph(rewind: Work, work: Work) -> Callable[[], None]:
    """Capture ``work`` in a CUDA graph on the current stream; see :data:`Capture`."""
    for _ in range(_WARM_UP):
        rewind()
        work()
    rewind()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            work()
    except RuntimeError:
        torch.cuda.synchronize()
        raise
    return graph.replay


def capture_on(device: torch.device) -> Capture | None:
    """How work is captured on the device; None on a CPU."""
    return cuda_graph if device.type == "cuda" else None


@dataclass
class Modes:
    """The modes that the steps of a learner's fits may be run in, and why not in others.

    All fits of a learner share it, so that what has failed once is not tried again. ``forward`` and
    ``batches`` are those of compiled steps, ``capture`` captures on the learner's device.
    ``check`` is the recipe's ``training.check``; ``identity`` says of which model a verdict is.
    ``checked`` says in a word or two whether the steps were checked. ``fallbacks`` are lines that
    say what training goes on without, ``details``, line by line, all that is known of the causes.
    """

    forward: Forward = eager
    batches: Batches = make_batch
    capture: Capture | None = None
    check: Literal["auto", "always", "off"] = "off"
    identity: Mapping[str, Any] = field(default_factory=dict)
    checked: str = "not checked"
    fallbacks: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        lacks = [] if self.capture else ["captured"]
        lacks += ["compiled"] if self.forward is eager else []
        self._left = [mode for mode in LADDER if not any(part in mode for part in lacks)]

    @property
    def mode(self) -> Mode:
        """The fastest mode that has not failed."""
        return self._left[0]

    def give_up(self, part: str, what: str, why: BaseException | str) -> None:
        """Drop the modes whose names hold ``part``, but not plain; a line warns of it."""
        self._drop(part)
        self.go_without(what, why)

    def lack_compiler(self, gap: str) -> None:
        """Drop compiled modes, since nothing compiles them; a warning of it is given elsewhere.

        Does nothing if there is no ``gap``, or no such mode.
        """
        if not gap or not any("compiled" in mode for mode in self._left):
            return
        self._drop("compiled")
        line = f"training goes on without torch.compile, slower: {gap}"
        self.fallbacks.append(line)
        self.details.append(line)

    def _drop(self, part: str) -> None:
        self._left = [mode for mode in self._left if part not in mode or mode == "plain"]

    def go_without(self, what: str, why: BaseException | str) -> None:
        """Note that training goes on without something, and warn of it in a line."""
        reason, hint = (why, "") if isinstance(why, str) else (first_cause(why), _HINT)
        line = f"training goes on without {what}, slower: {reason}"
        self.fallbacks.append(line)
        self.details.append(line)
        for error in () if isinstance(why, str) else reversed(_chain(why)):
            parts = traceback.format_exception(error, chain=False)
            self.details.extend("".join(parts).splitlines())
        warnings.warn(f"{line}{hint}", stacklevel=2)


def first_cause(error: BaseException) -> str:
    """The first line of the exception that all others of a chain came from, with its type."""
    chain = _chain(error)
    real = [each for each in chain if not isinstance(each, _HANDLED)]
    first = (real or chain)[-1]
    lines = [line.strip() for line in str(first).splitlines() if line.strip()]
    name = type(first).__name__
    return f"{name}: {lines[0]}" if lines else name


def _chain(error: BaseException) -> list[BaseException]:
    """The exception, the one that it was raised from or while another was handled, and so on."""
    chain, deeper = list[BaseException](), [error]
    while deeper and deeper[0] not in chain:
        chain += deeper
        # torch hides the cause of a failed compile by "raise ... from None".
        before = chain[-1].__cause__ or chain[-1].__context__
        deeper = [before] if before else []
    return chain
