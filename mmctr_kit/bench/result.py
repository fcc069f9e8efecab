"""What a benchmark finds, as plain values that go to JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

from mmctr_kit.bench.roofline import Ceiling
from mmctr_kit.cv.model_cost import Latency


@dataclass(frozen=True)
class Training:
    """Training steps of ``batch_size`` random rows. ``rows`` were timed; at the median's pace they
    take ``seconds``.

    ``granted`` is the share of its threads' seconds that the process had a CPU: far less than 1
    where other processes took theirs. None on a GPU, and for trees.
    ``epoch_rows`` are those of a fold's epoch; ``compile_seconds`` went before.
    """

    batch_size: int
    rows: int
    seconds: float
    granted: float | None
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
    """``rows`` rows of the ``split_rows`` of test, predicted in ``seconds``."""

    rows: int
    seconds: float
    split_rows: int

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds

    @property
    def split_seconds(self) -> float:
        """For all of test; extrapolated where not all of it was predicted."""
        return self.split_rows / self.rows_per_second


@dataclass(frozen=True)
class Work:
    """What a training step must do at least, by row, and what the device can do.

    ``flops``: those of the matrix products that it executes, counted by torch's FlopCounterMode,
    forward and backward. ``bytes``: the optimizer's pass over all parameters (weight, gradient and
    two moments read, three of them written, float32); activations are left out, as a cache may
    hold them.
    """

    flops: float
    bytes: float
    ceiling: Ceiling

    def shares(self, rows_per_second: float) -> tuple[float, float]:
        """Of the measured matrix throughput and of the memory bandwidth, what so many rows a
        second take."""
        return (
            self.flops * rows_per_second / self.ceiling.flops,
            self.bytes * rows_per_second / self.ceiling.bytes,
        )


@dataclass(frozen=True)
class Result:
    """One recipe on one device. ``work`` is None for trees, ``phases`` (share of a plain step's
    time, by phase) where they were not told apart: on a GPU, and for trees."""

    recipe: str
    parameters: int
    training: Training
    prediction: Prediction
    work: Work | None
    phases: Mapping[str, float] | None
    latency: tuple[Latency, ...]
    memory_mb: float
    memory_of: Literal["process", "gpu"]


Clock = Literal["wall", "cpu"]
"""The clock on the wall, or a process's CPU seconds, all its threads' together."""


@dataclass(frozen=True)
class Speeds:
    """Rows a second, by each clock."""

    wall: float
    cpu: float

    def by(self, clock: Clock) -> float:
        return self.wall if clock == "wall" else self.cpu


@dataclass(frozen=True)
class Round:
    """The official way and ours, one right after the other. ``loading``: the share of the
    official way's time that went to its loader."""

    official: Speeds
    ours: Speeds
    loading: float


@dataclass(frozen=True)
class Side:
    """A recipe trained both ways, in turn, in one process, at the same batch size."""

    recipe: str
    batch_size: int
    precision: str
    rounds: tuple[Round, ...]

    def ratio(self, clock: Clock) -> float:
        """How many times as many rows a second: the median of the rounds' ratios."""
        return median(r.ours.by(clock) / r.official.by(clock) for r in self.rounds)

    def official(self, clock: Clock) -> float:
        """Rows a second the official way: the median of the rounds."""
        return median(r.official.by(clock) for r in self.rounds)

    def ours(self, clock: Clock) -> float:
        """Rows a second our way: the median of the rounds."""
        return median(r.ours.by(clock) for r in self.rounds)
