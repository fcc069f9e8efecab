"""How the target's multimodal vector stands to those of the history, modality by modality."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.training.gbdt.packed import MAX, MEAN, RECENT, TOP3, Columns, Packed, ratio


@dataclass(frozen=True)
class Part:
    """One modality's columns of the item table: ``unit`` (n_items + 1, d) float32 vectors of unit
    length, zeros for an item without the modality; ``norm`` (n_items + 1,) float32 their lengths
    before, 0 for such an item."""

    name: str
    unit: NDArray[np.float32]
    norm: NDArray[np.float32]


def part_names(widths: Sequence[int]) -> tuple[str, ...]:
    """``vector`` for a table of one modality, ``vector1``, ``vector2`` and on for several, none
    for a table without columns."""
    if len(widths) == 1:
        return ("vector",) if widths[0] else ()
    return tuple(f"vector{number}" for number in range(1, len(widths) + 1))


def table_parts(
    table: NDArray[np.float32], widths: Sequence[int], present: NDArray[np.bool_]
) -> tuple[Part, ...]:
    """The item table (n_items + 1, d) cut into modalities of these widths; ``present``
    (n_items + 1, modalities) tells which of them an item has."""
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
    """Cosines of the target with the history's items and with their mean vectors."""
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


def _length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) of (n, d)."""
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)))
