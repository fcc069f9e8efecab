"""The check that compiled and captured steps train, on this machine, what plain ones train.

From one state, with nothing dropped, steps of each mode are run on the same two batches. Their
losses, every gradient and the running statistics of norms must agree. Then the same step is run
with dropout: twice from one seed it must be the same, and from the numbers after that another. The
caller undoes what these steps changed, and the random state.
"""

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from mmctr_kit import __version__
from mmctr_kit.data.cache import cached
from mmctr_kit.models.ops.dropout import Dropout, nothing_dropped
from mmctr_kit.training.data.batches import make_batch
from mmctr_kit.training.device import describe_device, free_bytes
from mmctr_kit.training.step import Step, eager
from mmctr_kit.training.step_modes import Modes

Launch = Callable[[int], Tensor]
"""Trains on batch 0 or 1 of two, and returns the loss before, (). Batch 1 comes after batch 0."""


class Tolerance(NamedTuple):
    """How far steps may differ: in the loss, and in a gradient, as shares of them.

    A gradient is judged as if its norm were at least the share ``least`` of all gradients'. One
    that cancels, as of a bias before a batch norm, is rounding alone.
    """

    loss: float
    gradient: float
    least: float = 1e-3


REPLAYED = Tolerance(1e-6, 1e-4)
REPEATED = Tolerance(1e-7, 1e-5)
"""If one step, run twice, differs by more, its device adds in any order (atomically), and bf16
makes more of that: then REPLAYED would blame the replay for it."""
COMPILED = {"float32": Tolerance(1e-5, 1e-3), "bf16": Tolerance(2e-3, 5e-2, least=1.0)}
"""Of all networks on a CPU, its own operations against those of a GPU differed by at most 2e-7 and
3e-5 in float32, and by 2e-4 and 3e-2 in bf16 (batches of 128 and 1,024 rows)."""
KINKS = Tolerance(1e-5, 5e-2, least=1e-2)
"""Rounding that takes the input of a ReLU across zero changes a gradient by far more than rounding.
With each weight changed by ROUNDED, as other kernels round, din_mha_se_pca's gradients (1,500 rows)
differ by up to 4.8e-3, in 2 of 8 draws by more than 1e-3 (tests/studies/rounding.py). So up to here
a gradient must differ in both batches, and by more than such changes do to it."""
ROUNDED, _DRAWS, _TIMES = 3e-7, 4, 3.0
"""The change of a weight, as a share of it; how many are drawn; and by how many times the largest
effect of them a gradient may differ."""

_COPIED = 0.1
"""Share of a GPU's free memory that a copy of the state may take: there may be two at once."""
_TABLE_STD = 0.1
"""Embedding tables of smaller values are scaled to this, so that histories are seen to matter."""


@dataclass(frozen=True)
class Outcome:
    """What a step did: its loss (), and by name each gradient and each running statistic."""

    loss: Tensor
    gradients: Mapping[str, Tensor]
    statistics: Mapping[str, Tensor]

    @classmethod
    def of(cls, step: Step, loss: Tensor) -> "Outcome":
        """The outcome of a step whose optimizer began without moments: the first are gradients."""
        share = 1 - step.optimizer.betas[0]
        moments = {
            name: step.optimizer.state[parameter]["exp_avg"] / share
            for name, parameter in step.model.named_parameters()
        }
        statistics = {
            f"{path}.{name}": buffer.clone()
            for path, module in step.model.named_modules()
            if isinstance(module, _NormBase)
            for name, buffer in module.named_buffers()
            if buffer.is_floating_point()
        }
        return cls(loss.detach().clone(), moments, statistics)

    def shares(self, other: "Outcome", tolerance: Tolerance) -> Tensor:
        """(gradients,) how far each lies from the ``other``'s, as a share of that."""
        return _shares(self.gradients, other.gradients, tolerance.least)

    def difference(
        self, other: "Outcome", tolerance: Tolerance, also: Tensor | float = 0.0
    ) -> str | None:
        """How this outcome differs from the ``other`` by more than the tolerance; else None.

        Of each gradient the share ``also`` (gradients,) is allowed, too.
        """
        off = float((self.loss - other.loss).abs() / other.loss.abs().clamp(min=1e-6))
        if not off <= tolerance.loss:  # so that NaN differs
            return f"the loss by {off:.1e} of it, {tolerance.loss:.0e} allowed"
        groups = (
            ("gradient of ", self.gradients, other.gradients, tolerance.least, also),
            ("statistic ", self.statistics, other.statistics, REPLAYED.least, 0.0),
        )
        for kind, mine, theirs, least, more in groups:
            shares = _shares(mine, theirs, least)
            over = torch.nan_to_num(shares - more, nan=torch.inf)
            if len(over) and not over.max() <= tolerance.gradient:
                name, share = list(mine)[int(over.argmax())], float(shares[over.argmax()])
                return f"{kind}{name} by {share:.1e} of it, {tolerance.gradient:.0e} allowed"
        return None


def _shares(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor], least: float) -> Tensor:
    """(names,) the differences of two tensors of one name, as shares of their norms."""
    if not mine:
        return torch.zeros(0)
    norms = torch.stack([theirs[name].float().norm() for name in mine])
    off = torch.stack([(mine[name] - theirs[name]).float().norm() for name in mine])
    return off / norms.clamp(min=float(least * norms.norm()) + 1e-30)


def find_fault(step: Step, plain: Launch, launch: Launch, replay: Launch | None) -> str | None:
    """How launched steps differ from plain ones, or replayed ones from launched ones; else None.

    None too if there is nothing to compare: the loss is not finite, or the model draws random
    numbers other than by :class:`~mmctr_kit.models.ops.dropout.Dropout`. Changes the step's state
    and the random state.
    """
    start = visible_start(step)

    def run(launch: Launch, number: int, state: Mapping[str, Tensor] = start) -> Outcome:
        step.fill(state)
        return Outcome.of(step, launch(number))

    def rounding(number: int, wanted: Outcome) -> Tensor:
        """(gradients,) what rounding does to each: the most of some draws, as shares of them."""
        draws = (run(plain, number, rounded(start, seed)) for seed in range(_DRAWS))
        return torch.stack([d.shares(wanted, COMPILED[step.precision]) for d in draws]).amax(0)

    with nothing_dropped(step.model):
        first = run(launch, 0)
        steady = run(launch, 0).difference(first, REPEATED) is None
        repeats = REPLAYED if steady else COMPILED[step.precision]
        del first
        fault = _fault_of_arithmetic(step, run, plain, launch, replay, repeats, rounding)
        if fault:
            torch.manual_seed(1)
            comparable = run(plain, 0).difference(run(plain, 0), COMPILED[step.precision]) is None
            return fault if comparable else None
    if any(isinstance(module, Dropout) and module.acts for module in step.model.modules()):
        return _fault_of_dropout(lambda: run(replay or launch, 0), repeats)
    return None


def _fault_of_arithmetic(
    step: Step,
    run: Callable[[Launch, int], Outcome],
    plain: Launch,
    launch: Launch,
    replay: Launch | None,
    repeats: Tolerance,
    rounding: Callable[[int, Outcome], Tensor],
) -> str | None:
    expected = [run(plain, number) for number in (0, 1)]
    launched = [run(launch, number) for number in (0, 1)]
    pairs, tolerance = [*zip(launched, expected, strict=True)], COMPILED[step.precision]
    also: Tensor | float = 0.0
    differ = [found.difference(wanted, tolerance) for found, wanted in pairs]
    if any(differ) and not any(found.difference(wanted, KINKS) for found, wanted in pairs):
        by_rounding = [
            found.shares(wanted, tolerance) <= tolerance.gradient + _TIMES * rounding(i, wanted)
            for i, (found, wanted) in enumerate(pairs)
        ]
        also = torch.where(by_rounding[0] | by_rounding[1], torch.inf, 0.0)
    for found, wanted in pairs:
        if fault := found.difference(wanted, tolerance, also):
            return f"{fault}, against plain steps"
    del expected, pairs
    for number in (0, 1) if replay else ():
        assert replay is not None
        if fault := run(replay, number).difference(launched[number], repeats):
            return f"{fault}, replayed against launched"
    return None


def _fault_of_dropout(run: Callable[[], Outcome], repeats: Tolerance) -> str | None:
    torch.manual_seed(1)
    first, second = run(), run()
    if second.difference(first, REPLAYED) is None:
        return "dropout drops the same values in each step"
    torch.manual_seed(1)
    if fault := run().difference(first, repeats):
        return f"{fault}, with dropout twice from one seed"
    return None


def rounded(state: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """The state, each value of the model changed at random by about the share ROUNDED."""
    random = torch.Generator().manual_seed(seed)

    def changed(value: Tensor) -> Tensor:
        noise = torch.randn(value.shape, generator=random)
        return value * (1 + ROUNDED * noise.to(value.device))

    return {
        name: changed(value) if name.startswith("model.") and value.is_floating_point() else value
        for name, value in state.items()
    }


def visible_start(step: Step) -> dict[str, Tensor]:
    """The state that a check begins from: tables of visible values, no moments."""
    start = copied(step)
    for name, value in start.items():
        if name.startswith("optimizer."):
            value.zero_()
    for path, module in step.model.named_modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            table = start[f"model.{path}.weight"]
            table *= (_TABLE_STD / table.std().clamp(min=1e-30)).clamp(min=1.0)
    return start


@contextmanager
def as_plain(step: Step) -> Iterator[None]:
    """In the ``with`` block the step is neither compiled nor are its batches."""
    forward, batches = step.forward, step.batches
    step.forward, step.batches = eager, make_batch
    try:
        yield
    finally:
        step.forward, step.batches = forward, batches


def verdict(step: Step, modes: Modes, of: Mapping[str, Any], check: Callable[[], str]) -> str:
    """The fault that ``check()`` finds in steps run in a mode, or "".

    If it was found before, on this machine and for the same ``of``, it is not looked for again.
    Without a check ("off", or "auto" on a CPU), or if memory is too small for one, it is "".
    """
    device = step.data.device
    if modes.check == "off" or (modes.check == "auto" and device.type == "cpu"):
        return ""
    shapes = {name: list(value.shape) for name, value in step.state().items()}
    key = {**modes.identity, **of, "precision": step.precision, "shapes": shapes}
    key |= {"machine": _machine(device)}
    try:
        if modes.check == "always":
            fault = check()
        else:
            fault = cached("step_check", {}, key, lambda: ({}, {"fault": check()}))[1]["fault"]
    except torch.OutOfMemoryError:
        modes.checked = "not checked, for want of memory"
        return ""
    modes.checked = "checked"
    return str(fault)


@contextmanager
def undone(step: Step) -> Iterator[dict[str, Tensor]]:
    """Undo after the ``with`` block what it changed: the step's state and random numbers.

    Yields the state before it.
    """
    before = copied(step)
    with forked_random(step.data.device):
        yield before
    step.fill(before)
    step.optimizer.zero_grad()


def copied(step: Step) -> dict[str, Tensor]:
    """A copy of the step's state: on its device, or on the host if that is nearly full."""
    state, free = step.state(), free_bytes(step.data.device)
    large = free is not None and sum(v.nbytes for v in state.values()) > _COPIED * free
    return {k: v.to("cpu", copy=True) if large else v.clone() for k, v in state.items()}


def forked_random(device: torch.device) -> AbstractContextManager[None]:
    """A ``with`` block after which the random states of the CPU and the device are as before."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])


def _machine(device: torch.device) -> list[str]:
    """What a verdict depends on beside the step: versions, the card and its driver."""
    triton = driver = ""
    with suppress(metadata.PackageNotFoundError):
        triton = metadata.version("triton")
    with suppress(OSError):
        driver = Path("/proc/driver/nvidia/version").read_text().splitlines()[0]
    versions = [__version__, torch.__version__, str(torch.version.cuda), triton, driver]
    return [*versions, platform.machine(), describe_device(str(device))]
