"""Results of a benchmark, and what follows from them, as values that go to JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from mmctr_kit.cv.model_cost import Latency
from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import read_json


@dataclass(frozen=True)
class Training:
    """``rows`` rows trained in steps of ``batch_size``, which take ``seconds`` at the median pace.

    ``cpu_share`` is the share of its threads' time that the process had a CPU, far below 1 if the
    machine was busy; None on a GPU, and for trees. ``epoch_rows`` are the rows of a fold's epoch.
    ``compile_seconds`` went before.
    """

    batch_size: int
    rows: int
    seconds: float
    cpu_share: float | None
    epoch_rows: int
    compile_seconds: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds

    @property
    def epoch_seconds(self) -> float:
        """Extrapolated from the measured steps."""
        return self.epoch_rows / self.rows_per_second


@dataclass(frozen=True)
class Prediction:
    """``rows`` of the ``split_rows`` test rows, predicted in ``seconds``."""

    rows: int
    seconds: float
    split_rows: int

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds

    @property
    def split_seconds(self) -> float:
        """The time for the whole test split; extrapolated if only a part was predicted."""
        return self.split_rows / self.rows_per_second


@dataclass(frozen=True)
class Roofline:
    """The best of several runs of a device: what no step can exceed.

    ``flops``: FLOP/s of square matrix products of type ``dtype``. ``bytes``: bytes/s that a large
    copy reads and writes.
    """

    dtype: str
    flops: float
    bytes: float


@dataclass(frozen=True)
class Work:
    """The work of a training step by row, and the roofline of the device.

    ``flops``: matrix products, forward and backward, counted by torch's FlopCounterMode.
    ``bytes``: the optimizer's pass over all parameters (weight, gradient and two moments read,
    all but the gradient written, float32); activations are not counted, as a cache may hold them.
    """

    flops: float
    bytes: float
    roofline: Roofline

    def shares(self, rows_per_second: float) -> tuple[float, float]:
        """Shares of the matrix throughput and of the memory bandwidth used at this speed."""
        flops, moved = self.flops * rows_per_second, self.bytes * rows_per_second
        return flops / self.roofline.flops, moved / self.roofline.bytes


@dataclass(frozen=True)
class Result:
    """One recipe on one device.

    ``phases`` are the shares of an eager step's time by phase, None on a GPU; ``work`` and
    ``phases`` are None for trees.
    """

    recipe: str
    parameters: int
    training: Training
    prediction: Prediction
    work: Work | None
    phases: Mapping[str, float] | None
    latency: tuple[Latency, ...]
    memory_mb: float
    memory_of: Literal["process", "gpu"]

    def as_json(self) -> dict[str, Any]:
        """All fields, with speeds, extrapolated times and shares of the roofline."""
        training, prediction = self.training, self.prediction
        content = asdict(self)
        content["training"]["rows_per_second"] = training.rows_per_second
        content["training"]["epoch_seconds"] = training.epoch_seconds
        content["prediction"]["rows_per_second"] = prediction.rows_per_second
        content["prediction"]["split_seconds"] = prediction.split_seconds
        if self.work is not None:
            shares = self.work.shares(training.rows_per_second)
            content["share_of_matrix_throughput"], content["share_of_memory_bandwidth"] = shares
        return content


Clock = Literal["wall", "cpu"]
"""Wall time, or the CPU time of all threads of the process."""

Speeds = Mapping[Clock, float]
"""Rows per second by each clock."""


@dataclass(frozen=True)
class Round:
    """The official pipeline and this project's, one right after the other.

    ``loading`` is the share of the official pipeline's time that its data loader took.
    """

    official: Speeds
    ours: Speeds
    loading: float


@dataclass(frozen=True)
class Versus:
    """A recipe trained by both pipelines in turn, in one process, with the same batch size."""

    recipe: str
    device: str
    batch_size: int
    precision: str
    rounds: tuple[Round, ...]

    def speeds(self, clock: Clock) -> tuple[float, float, float]:
        """Rows per second of the official pipeline and of ours, and ours over official: medians."""
        pairs = [(r.official[clock], r.ours[clock]) for r in self.rounds]
        ratio = median(ours / official for official, ours in pairs)
        return median(official for official, _ in pairs), median(ours for _, ours in pairs), ratio

    def as_json(self) -> dict[str, Any]:
        wall, cpu = self.speeds("wall")[2], self.speeds("cpu")[2]
        return asdict(self) | {"times_by_clock": wall, "times_by_cpu_time": cpu}


def read_versus(path: Path) -> Versus:
    """Read the JSON of ``tests/studies/versus_official.py``."""
    try:
        content = read_json(path)
        rounds = tuple(Round(**each) for each in content["rounds"])
        names = ("recipe", "device", "batch_size", "precision")
        versus = Versus(**{name: content[name] for name in names}, rounds=rounds)
        versus.as_json()  # it has numbers
    except (RunError, KeyError, TypeError, ArithmeticError, ValueError) as e:
        raise UsageError(
            f"--versus '{path}' is not a result of tests/studies/versus_official.py; run that "
            "script with --out"
        ) from e
    return versus
