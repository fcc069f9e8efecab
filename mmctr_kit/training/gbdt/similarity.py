"""How similar the target is to the history's items: by item vectors, and by who has both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items import Bools, Floats32, Ints
from mmctr_kit.items.signals import POPULARITY, row_columns, signal_values
from mmctr_kit.items.similarity import Similarity
from mmctr_kit.models.layers.similarity import bucket_edges
from mmctr_kit.training.gbdt.packed import Columns, Packed, ratio


@dataclass(frozen=True)
class Part:
    """One modality of the item table, scaled to unit length: ``unit`` (n_items + 1, d) float32.

    ``norm`` (n_items + 1,) float32 are the lengths before. Both are 0 for an item without it.
    """

    name: str
    unit: Floats32
    norm: Floats32


def part_names(widths: Sequence[int]) -> tuple[str, ...]:
    """Names of the modalities: ``vector`` for a single one, else ``vector1``, ``vector2``, ..."""
    if len(widths) == 1:
        return ("vector",) if widths[0] else ()
    return tuple(f"vector{number}" for number in range(1, len(widths) + 1))


def table_parts(table: Floats32, widths: Sequence[int], present: Bools) -> tuple[Part, ...]:
    """Cut the item table (n_items + 1, d) into modalities of these ``widths``."""
    parts, columns = [], np.split(table, np.cumsum(widths)[:-1], axis=1)
    for name, vectors, has in zip(part_names(widths), columns, present.T, strict=False):
        unit = vectors.astype(np.float32)
        unit[~has] = 0
        norm = _length(unit)
        unit /= np.where(norm > 0, norm, 1)[:, None]
        parts.append(Part(name, unit, norm))
    return tuple(parts)


def modality_features(packed: Packed, part: Part, buckets: int = 0) -> Columns:
    """Cosines of the target's vector with the history items' vectors and their means.

    Also how many of the cosines are in each of ``buckets`` buckets.
    """
    mine, name = part.unit[packed.target], part.name
    cosine = np.einsum("ij,ij->i", part.unit[packed.item], mine[packed.row])
    centre, recent = packed.sum(part.unit, 1.0), packed.sum(part.unit, packed.weight)
    return {
        **packed.pool(name, cosine),
        f"{name}_last": packed.last(cosine),
        f"{name}_centre": ratio(np.einsum("ij,ij->i", centre, mine), _length(centre)),
        f"{name}_centre_recent": ratio(np.einsum("ij,ij->i", recent, mine), _length(recent)),
        f"{name}_norm": part.norm[packed.target],
        f"{name}_missing": (part.norm[packed.target] == 0).astype(np.float32),
        **_histogram(packed, part, cosine, buckets),
    }


def _histogram(packed: Packed, part: Part, cosine: Floats32, buckets: int) -> Columns:
    """How many positions are in each bucket; none that lacks the modality, or whose target does."""
    if not buckets:
        return {}
    has = part.norm > 0
    both = has[packed.item] & has[packed.target][packed.row]
    bucket = np.searchsorted(np.array(bucket_edges(buckets), np.float32), cosine, side="right")
    return {
        f"{part.name}_bucket{number + 1}": packed.count(both & (bucket == number))
        for number in range(buckets)
    }


def code_features(packed: Packed, codes: Ints) -> Columns:
    """How many codes the target has in common with the history items, from the first level on.

    ``codes`` (n_items + 1, levels); an item without codes has none in common with any.
    """
    mine, theirs = codes[packed.target], codes[packed.item]
    equal = (mine[packed.row] == theirs) & (theirs > 0)
    common = np.logical_and.accumulate(equal, axis=1)
    columns: Columns = {}
    for level, matches in enumerate(common.T, start=1):
        columns[f"codes{level}_matches"] = packed.count(matches)
        columns[f"codes{level}_share"] = packed.share(matches)
    return {
        **columns,
        **packed.pool("codes_depth", common.sum(1).astype(np.float32), ("recent",)),
        "codes_age": packed.newest(common[:, -1]),
        "codes_missing": (mine[:, 0] == 0).astype(np.float32),
    }


def signal_features(
    packed: Packed, similarity: Similarity, data: ChallengeData, half_life: float
) -> Columns:
    """Row signals, each kind's newest position, and EASE's sum; NaN for a row without history."""
    values = signal_values(similarity, data, packed.examples, half_life)
    values.row[packed.length == 0] = np.nan
    names = row_columns(similarity.kinds)
    columns = {n: values.row[:, i] for i, n in enumerate(names) if n != POPULARITY}
    for index, kind in enumerate(similarity.kinds):
        columns[f"{kind}_last"] = packed.last(values.position[:, index])
        if kind == "ease":
            columns["ease_sum"] = columns["ease_mean"] * packed.length.astype(np.float32)
    return columns


def _length(vectors: Floats32) -> Floats32:
    """The lengths (n,) of ``vectors`` (n, d)."""
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", vectors, vectors)))
