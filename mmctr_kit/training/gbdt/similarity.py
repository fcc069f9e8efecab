"""How similar the target is to the history's items: by item vectors, and by who has both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items.signals import POPULARITY, row_columns, signal_values
from mmctr_kit.items.similarity import Similarity
from mmctr_kit.training.gbdt.packed import MAX, MEAN, RECENT, TOP3, Columns, Packed, ratio


@dataclass(frozen=True)
class Part:
    """One modality of the item table, scaled to unit length: ``unit`` (n_items + 1, d) float32.

    ``norm`` (n_items + 1,) float32 are the lengths before. Both are 0 for an item without it.
    """

    name: str
    unit: NDArray[np.float32]
    norm: NDArray[np.float32]


def part_names(widths: Sequence[int]) -> tuple[str, ...]:
    """Names of the modalities: ``vector`` for a single one, else ``vector1``, ``vector2``, ...

    A table without columns has none.
    """
    if len(widths) == 1:
        return ("vector",) if widths[0] else ()
    return tuple(f"vector{number}" for number in range(1, len(widths) + 1))


def table_parts(
    table: NDArray[np.float32], widths: Sequence[int], present: NDArray[np.bool_]
) -> tuple[Part, ...]:
    """Cut the item table (n_items + 1, d) into modalities of these ``widths``.

    ``present`` (n_items + 1, modalities) says which of them an item has.
    """
    parts = []
    for column, name in enumerate(part_names(widths)):
        end = sum(widths[: column + 1])
        unit = table[:, end - widths[column] : end].astype(np.float32)
        unit[~present[:, column]] = 0
        norm = _length(unit)
        unit /= np.where(norm > 0, norm, 1)[:, None]
        parts.append(Part(name, unit, norm))
    return tuple(parts)


def modality_features(packed: Packed, part: Part) -> Columns:
    """Cosines of the target's vector with the history items' vectors and their means."""
    mine, name = part.unit[packed.target], part.name
    cosine = np.einsum("ij,ij->i", part.unit[packed.item], mine[packed.row])
    pooled = packed.pool(cosine)
    centre, recent = packed.sum(part.unit, 1.0), packed.sum(part.unit, packed.weight)
    return {
        f"{name}_max": pooled[:, MAX],
        f"{name}_mean": pooled[:, MEAN],
        f"{name}_recent": pooled[:, RECENT],
        f"{name}_top3": pooled[:, TOP3],
        f"{name}_last": packed.last(cosine),
        f"{name}_centre": ratio(np.einsum("ij,ij->i", centre, mine), _length(centre)),
        f"{name}_centre_recent": ratio(np.einsum("ij,ij->i", recent, mine), _length(recent)),
        f"{name}_norm": part.norm[packed.target],
        f"{name}_missing": (part.norm[packed.target] == 0).astype(np.float32),
    }


def signal_features(
    packed: Packed, similarity: Similarity, data: ChallengeData, half_life: float
) -> Columns:
    """The row signals, each kind's newest position, and the sum of EASE, which is its score.

    The number of users is among the statistics already. A row without history has NaN.
    """
    values = signal_values(similarity, data, packed.examples, half_life)
    values.row[packed.length == 0] = np.nan
    names = row_columns(similarity.kinds)
    columns = {n: values.row[:, i] for i, n in enumerate(names) if n != POPULARITY}
    for index, kind in enumerate(similarity.kinds):
        columns[f"{kind}_last"] = packed.last(values.position[:, index])
        if kind == "ease":
            columns["ease_sum"] = columns["ease_mean"] * packed.length.astype(np.float32)
    return columns


def _length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The lengths (n,) of ``vectors`` (n, d)."""
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)))
