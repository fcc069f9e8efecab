"""The item table (n_items + 1, d), made from the embeddings that the data folder holds.

Text and image are fused without labels. An item that lacks a modality keeps the PCA of its zero
vector, which after centring is not zero but the same for all such items; the challenge's four
embeddings do that too. Only the padding row is zero.

Factors are counted from users, so the table has NaN in their columns, which come first, until
:meth:`mmctr_kit.items.features.ItemFeatures.of_users` fills them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmctr_kit.data.cache import cached
from mmctr_kit.data.contract import FILES
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load_given, load_own
from mmctr_kit.data.modalities import (
    Modality,
    Quality,
    held_modalities,
    item_coverage,
    load_modality,
)
from mmctr_kit.embed.pca import PCA, fit_pca, project
from mmctr_kit.errors import DataError
from mmctr_kit.metrics.ranks import Flags, Floats, Floats32
from mmctr_kit.recipe import Items

_FORMAT = 1

Modalities = tuple[Modality, ...]


def item_vectors(data: ChallengeData, modalities: Modalities) -> list[Floats32]:
    """One (n_items, d) float32 per modality, row i for item i + 1; raises as load_modality does."""
    return [load_modality(data, m)[1:] for m in modalities]


def modality_pca(data: ChallengeData, modalities: Modalities) -> PCA:
    """The full-width PCA of the modalities side by side, over all items but the padding item.

    An item without a title or image takes part with its zero vector, as in the challenge's own
    embeddings. Raises as load_modality does.
    """
    vectors = item_vectors(data, modalities)
    files = {"file": data.folder / FILES["item_feature"].path}
    settings = {"modalities": list(modalities), "items": data.n_items, "format": _FORMAT}
    arrays, _ = cached("pca", files, settings, lambda: (vars(fit_pca(vectors)), {}))
    return PCA(**arrays)


@dataclass(frozen=True)
class _Part:
    """The PCA of ``modalities`` side by side, of a size set by recipe key ``key``; None: no PCA.

    Without modalities it is the factors.
    """

    modalities: Modalities
    key: str | None

    @property
    def name(self) -> str:
        return " + ".join(self.modalities) or "factors"


_FACTORS = _Part((), "factors_dim")
_TEXT, _IMAGE = _Part(("text",), "text_dim"), _Part(("image",), "image_dim")
_PARTS: dict[str, tuple[_Part, ...]] = {
    "text": (_TEXT,),
    "image": (_IMAGE,),
    "joint_pca": (_Part(("text", "image"), "dim"),),
    "separate_pca": (_TEXT, _IMAGE),
    "raw": (_Part(("text",), None), _Part(("image",), None)),
    "factors": (_FACTORS,),
    "blocks": (_FACTORS, _TEXT, _IMAGE),
}
"""The parts of each ``items.embedding`` that is made here, left to right."""


def item_table(data: ChallengeData, items: Items) -> Floats32:
    """The item table, (n_items + 1, d) float32 with a zero padding row; d is 0 for ``none``.

    The columns of factors are NaN but for the padding row.
    If an embedding is made of both modalities and the folder holds one, that one is used alone, and
    :func:`missing_modalities` names the other. Raises DataError if the folder lacks the embedding
    that the recipe asks for, or if its vectors have fewer values than the dimensions asked for.
    """
    if items.embedding == "none":
        return np.zeros((data.n_items + 1, 0), np.float32)
    if items.embedding == "item_info":
        return data.item_emb
    if items.embedding == "file":
        assert items.file is not None
        return load_own(data, Path(items.file))
    if items.embedding in ("v1", "v2", "v3", "e4"):
        return load_given(data, items.embedding)
    parts = _parts(data, items)
    widths = [_dims(data, items, part) for part in parts]
    table = np.zeros((data.n_items + 1, sum(widths)), np.float32)
    for part, columns in zip(parts, np.split(table, np.cumsum(widths)[:-1], axis=1), strict=True):
        _fill(columns[1:], data, items, part)
    return table


def has_factors(items: Items) -> bool:
    """Whether the first ``factors_dim`` columns of the table are factors."""
    return _FACTORS in _PARTS.get(items.embedding, ())


def item_parts(data: ChallengeData, items: Items) -> tuple[tuple[int, ...], Flags]:
    """The widths (M,) of the table's modalities, and which of them an item has, (n_items + 1, M).

    The modalities are text and image if the table keeps them apart (``separate_pca``, ``raw``, and
    the halves of ``e4``), after the factors of ``blocks``, else one. An item lacks a modality if
    its vector is all zeros, and has it if the folder does not say. All have factors, until these
    are counted.
    """
    names: tuple[Modality | None, ...] = ()
    if items.embedding in _PARTS:
        parts = _parts(data, items)
        widths = tuple(_dims(data, items, part) for part in parts)
        if items.embedding != "joint_pca":
            names = tuple(m for part in parts for m in part.modalities or (None,))
    else:
        widths = (int(item_table(data, items).shape[1]),)
        if items.embedding == "e4" and widths[0] % 2 == 0:
            widths, names = (widths[0] // 2, widths[0] // 2), ("text", "image")
    present = np.ones((data.n_items + 1, len(widths)), np.bool_)
    coverage = item_coverage(data) if any(names) else None
    for column, modality in enumerate(names):
        quality = getattr(coverage, modality) if modality else None
        if quality is not None:
            present[:, column] = quality != Quality.MISSING
    return widths, present


def missing_modalities(data: ChallengeData, items: Items) -> tuple[Modality, ...]:
    """The modalities that ``items.embedding`` is made of and the folder does not hold."""
    wanted = {m for part in _PARTS.get(items.embedding, ()) for m in part.modalities}
    return tuple(sorted(wanted - set(held_modalities(data)))) if len(wanted) > 1 else ()


def redundant_without(data: ChallengeData, items: Items) -> tuple[Modality, ...]:
    """The missing modalities, if without them another embedding has the same vectors.

    ``blocks`` of factors and one modality are like no other.
    """
    missing = missing_modalities(data, items)
    return () if has_factors(items) and held_modalities(data) else missing


def describe(data: ChallengeData, items: Items) -> str:
    """Say what the table is made of, and which share of the variance each PCA keeps."""
    if items.embedding not in _PARTS:
        return f"{items.embedding}: {item_table(data, items).shape[1]:,} dimensions, as given"
    lines = []
    for part in _parts(data, items):
        dims = _dims(data, items, part)
        line = f"{part.name}: {dims:,} dimensions, as given"
        if part is _FACTORS:
            line = f"factors: {dims:,} dimensions, from who took what"
        elif part.key is not None:
            pca = modality_pca(data, part.modalities)
            share = f"{100 * pca.explained(dims):.1f} % of the variance"
            line = f"{part.name}: PCA, {dims:,} of {pca.width:,} dimensions, {share}"
            line += ", whitened" if items.whiten else ""
        lines.append(line + (", unit length" if items.normalize == "l2" else ""))
    return "\n".join(lines)


def _parts(data: ChallengeData, items: Items) -> list[_Part]:
    """The parts of an embedding made here, without missing modalities."""
    missing, parts = missing_modalities(data, items), _PARTS[items.embedding]
    held = [
        part
        if part is _FACTORS
        else _Part(tuple(m for m in part.modalities if m not in missing), part.key)
        for part in parts
    ]
    # If all are missing, loading says what to do.
    return [part for part in held if part.modalities or part is _FACTORS] or list(parts)


def _dims(data: ChallengeData, items: Items, part: _Part) -> int:
    if part is _FACTORS:
        return items.factors_dim
    width: int = sum(x.shape[1] for x in item_vectors(data, part.modalities))
    if part.key is None:
        return width
    wanted: int = getattr(items, part.key)
    if wanted > width:
        raise DataError(
            f"items.{part.key} is {wanted}, but the folder's {part.name} vectors have {width} "
            f"values; set it to {width} or less"
        )
    return wanted


def _fill(out: Floats32, data: ChallengeData, items: Items, part: _Part) -> None:
    if part is _FACTORS:
        out[:] = np.nan
        return
    vectors = item_vectors(data, part.modalities)
    values: Floats32 | Floats = vectors[0]
    if part.key is not None:
        pca = modality_pca(data, part.modalities)
        values = project(pca, vectors, out.shape[1], items.whiten)
    if items.embedding == "blocks":
        values = values / (np.linalg.norm(values, axis=1).mean() or 1.0)
    if items.normalize == "none":
        out[:] = values
        return
    length = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))
    # Divided in float64 without a float64 copy of the whole.
    np.divide(values, np.where(length > 0, length, 1.0)[:, None], out=out, casting="same_kind")
