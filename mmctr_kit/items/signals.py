"""Signals of examples: similarities at each history position, and pooled over each history."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.data.ragged import expand_ranges
from mmctr_kit.items.similarity import Similarity, fit_similarity
from mmctr_kit.metrics.ranks import Floats, Floats32, Ints, Ints32
from mmctr_kit.recipe import Recipe, SignalKind

_CHUNK_POSITIONS = 1 << 20
POOLED = ("max", "mean", "recent", "top3")
"""The columns of :func:`pool` for each kind."""
POPULARITY = "history_count"


@dataclass(frozen=True)
class SignalValues:
    """Signals of examples, at their history positions and pooled over each row.

    ``position`` (positions, kinds) float32 holds one example's history after another; ``row``
    (rows, columns) float32 has the columns of :func:`row_columns`.
    """

    position: Floats32
    row: Floats32


def row_columns(kinds: Sequence[SignalKind]) -> list[str]:
    """Names of the row signals, none if there is no kind.

    Each kind has its largest, its mean, its recency-weighted mean and the mean of its three
    largest similarities; after them comes log(1 + users who took the target).
    """
    return [f"{k}_{s}" for k in kinds for s in POOLED] + ([POPULARITY] if kinds else [])


def signal_values(
    similarity: Similarity, data: ChallengeData, examples: Examples, half_life: float
) -> SignalValues:
    kinds = similarity.kinds
    position = np.empty((int(examples.lengths.sum()), len(kinds)), np.float32)
    row = np.empty((len(examples), len(row_columns(kinds))), np.float32)
    at_position = at_row = 0
    for chunk in examples.chunks(_CHUNK_POSITIONS):
        values = similarity.of(chunk, history_of(data, chunk))
        end_position, end_row = at_position + len(values), at_row + len(chunk)
        position[at_position:end_position] = values
        row[at_row:end_row, :-1] = pool(values, chunk.lengths, half_life)
        row[at_row:end_row, -1] = np.log1p(similarity.count(chunk))
        at_position, at_row = end_position, end_row
    return SignalValues(position, row)


def fold_signals(
    data: ChallengeData, recipe: Recipe, train: Ints, examples: Mapping[Split, Examples]
) -> dict[Split, SignalValues | None]:
    """The signals of each split's examples, counted from and scaled by the ``train`` rows alone."""
    signals = recipe.signals
    if not signals.kinds:
        return dict.fromkeys(examples)
    similarity = fit_similarity(data, train, signals, recipe.training.max_history)
    raw = {s: signal_values(similarity, data, e, signals.half_life) for s, e in examples.items()}
    scale = fit_scale(raw["train"], examples["train"], train)
    return {split: scale.apply(values) for split, values in raw.items()}


def history_of(data: ChallengeData, examples: Examples) -> Ints32:
    """The items (positions,) of the examples' histories, one after another."""
    position, _ = expand_ranges(examples.begin, examples.lengths)
    return np.asarray(data.histories.values[position])


def pool(values: Floats32, length: Ints, half_life: float) -> Floats32:
    """Pool (positions, kinds) over each row, to (rows, 4 * kinds); zeros without history.

    A position ``age`` positions before the last weighs 2 ** (-age / ``half_life``) in the
    recency-weighted mean.
    """
    rows, kinds = len(length), values.shape[1]
    pooled = np.zeros((rows, kinds, len(POOLED)), np.float32)
    real = np.flatnonzero(length)
    if len(real):
        span = length[real]
        begin = np.cumsum(span) - span
        row = np.repeat(np.arange(len(real)), span)
        age = np.repeat(begin + span - 1, span) - np.arange(len(row))
        weight = np.exp2(-age / half_life).astype(np.float32)[:, None]
        first, top3 = _largest(values, row, begin, span)
        pooled[real, :, 0] = first
        pooled[real, :, 1] = np.add.reduceat(values, begin) / span[:, None]
        pooled[real, :, 2] = np.add.reduceat(values * weight, begin)
        pooled[real, :, 2] /= np.add.reduceat(weight, begin)
        pooled[real, :, 3] = top3
    return pooled.reshape(rows, kinds * len(POOLED))


def _largest(values: Floats32, row: Ints, begin: Ints, span: Ints) -> tuple[Floats32, Floats32]:
    """The largest value, and the mean of the (up to) three largest, each (rows, kinds)."""
    left = values.copy()
    total = np.zeros((len(begin), values.shape[1]), np.float32)
    largest = total
    for rank in range(3):
        highest = np.maximum.reduceat(left, begin)
        largest = highest if rank == 0 else largest
        total = total + np.where((span > rank)[:, None], highest, 0)
        for kind in range(values.shape[1]):
            at = np.flatnonzero(left[:, kind] == highest[row, kind])
            first = at[np.diff(row[at], prepend=-1) != 0]  # the first of equals in each row
            left[first, kind] = -np.inf
    return largest, total / np.minimum(span, 3).astype(np.float32)[:, None]


@dataclass(frozen=True)
class Scale:
    """Scales signals to about unit size, as measured on training rows.

    Positions are divided by their root mean square; row columns are standardised.
    """

    position: Floats32
    mean: Floats32
    deviation: Floats32

    def apply(self, values: SignalValues) -> SignalValues:
        row = (values.row - self.mean) / self.deviation
        return SignalValues(values.position / self.position, row)


def fit_scale(values: SignalValues, examples: Examples, rows: Ints) -> Scale:
    """Measure the scale on ``rows`` of the examples; a column without spread is not divided."""
    length = examples.lengths
    position, _ = expand_ranges((np.cumsum(length) - length)[rows], length[rows])
    squares = np.square(values.position[position], dtype=np.float64)
    rms = np.sqrt(squares.mean(0)) if len(squares) else np.zeros(squares.shape[1])
    row = values.row[rows].astype(np.float64)
    mean, deviation = row.mean(0), row.std(0)
    return Scale(_or_one(rms), mean.astype(np.float32), _or_one(deviation))


def _or_one(size: Floats) -> Floats32:
    return np.where(size > 1e-6, size, 1.0).astype(np.float32)
