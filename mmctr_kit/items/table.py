"""The item table (n_items + 1, d), made from the embeddings that the data folder holds.

Text and image are fused without labels. An item that lacks a modality keeps the PCA of its zero
vector, which after centring is not zero but the same for all such items; the challenge's four
embeddings do that too. Only the padding row is zero.

Factors and aligned vectors are learned from users, so the table has NaN in their columns until
:meth:`mmctr_kit.items.features.ItemFeatures.of_users` fills them.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from mmctr_kit.data.cache import cached
from mmctr_kit.data.contract import Modality
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.load import load_given, load_own
from mmctr_kit.embed.content import Content
from mmctr_kit.embed.pca import PCA, fit_pca, project
from mmctr_kit.errors import DataError
from mmctr_kit.metrics.ranks import Flags, Floats, Floats32
from mmctr_kit.recipe import Items

_FORMAT = 1

Modalities = tuple[Modality, ...]
Learned = Literal["factors", "aligned"]


def item_vectors(content: Content, modalities: Modalities) -> list[Floats32]:
    """One (n_items, d) float32 per modality, row i for item i + 1; DataError if one is absent."""
    return [content.vectors(m)[1:] for m in modalities]


def modality_pca(content: Content, modalities: Modalities) -> PCA:
    """The full-width PCA of the modalities side by side, over all items but the padding item.

    An item without a title or image takes part with its zero vector, as in the challenge's own
    embeddings. Raises DataError if the files lack a modality.
    """
    vectors = item_vectors(content, modalities)
    settings = {"modalities": list(modalities), "items": content.data.n_items, "format": _FORMAT}
    files = content.files(*modalities)
    arrays, _ = cached("pca", files, settings, lambda: (vars(fit_pca(vectors)), {}))
    return PCA(**arrays)


@dataclass(frozen=True)
class Part:
    """Columns of the table, side by side with other parts.

    The PCA of ``modalities`` side by side to as many values as recipe key ``key`` says (None: as
    they are) or, without modalities, vectors that are learned from users: factors or aligned.
    """

    modalities: Modalities
    key: str | None
    learned: Learned | None = None

    @property
    def name(self) -> str:
        return self.learned or " + ".join(self.modalities)


_BLOCKS = {
    "factors": Part((), "factors_dim", "factors"),
    "aligned": Part((), "aligned_dim", "aligned"),
    "text": Part(("text",), "text_dim"),
    "image": Part(("image",), "image_dim"),
}
_BOTH = (_BLOCKS["text"], _BLOCKS["image"])
_PARTS: dict[str, tuple[Part, ...]] = {
    **{name: (part,) for name, part in _BLOCKS.items()},
    "joint_pca": (Part(("text", "image"), "dim"),),
    "separate_pca": _BOTH,
    "raw": tuple(Part(part.modalities, None) for part in _BOTH),
    "blocks": (),
}
"""The parts of each ``items.embedding`` that is made here; those of ``blocks`` are in its key."""


def item_table(data: ChallengeData, items: Items) -> Floats32:
    """The item table, (n_items + 1, d) float32 with a zero padding row; d is 0 for ``none``.

    Columns that are learned from users are NaN but for the padding row.
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
    content = Content.of(data, items)
    parts = item_blocks(content, items)
    widths = [_dims(content, items, part) for part in parts]
    table = np.zeros((data.n_items + 1, sum(widths)), np.float32)
    for part, columns in zip(parts, np.split(table, np.cumsum(widths)[:-1], axis=1), strict=True):
        _fill(columns[1:], content, items, part)
    return table


def item_parts(data: ChallengeData, items: Items) -> tuple[tuple[int, ...], Flags]:
    """The widths (M,) of the table's modalities, and which of them an item has, (n_items + 1, M).

    The modalities are the blocks of ``blocks``, text and image if the table keeps them apart
    (``separate_pca``, ``raw``, and the halves of ``e4``), else one. An item lacks a modality if
    its vector is all zeros, and has it if the files do not say. All have what is learned from
    users, until it is.
    """
    content = Content.of(data, items)
    names: tuple[Modality | None, ...] = ()
    if items.embedding in _PARTS:
        parts = item_blocks(content, items)
        widths = tuple(_dims(content, items, part) for part in parts)
        if items.embedding != "joint_pca":
            names = tuple(m for part in parts for m in part.modalities or (None,))
    else:
        widths = (int(item_table(data, items).shape[1]),)
        if items.embedding == "e4" and widths[0] % 2 == 0:
            widths, names = (widths[0] // 2, widths[0] // 2), ("text", "image")
    present = np.ones((data.n_items + 1, len(widths)), np.bool_)
    for column, modality in enumerate(names):
        known = content.present(modality) if modality else None
        if known is not None:
            present[:, column] = known
    return widths, present


def modality_names(data: ChallengeData, items: Items) -> tuple[str, ...]:
    """The names of the table's modalities (M,), in their order, or of the embedding if it is one.

    Such as ("factors", "text", "image"), or ("v3",).
    """
    if items.embedding in _PARTS:
        blocks = item_blocks(Content.of(data, items), items)
        return tuple(part.name.replace(" ", "") for part in blocks)
    if len(item_parts(data, items)[0]) > 1:
        return ("text", "image")
    return (items.embedding,)


def missing_modalities(data: ChallengeData, items: Items) -> tuple[Modality, ...]:
    """The modalities that ``items.embedding`` is made of and the files do not hold."""
    wanted = {m for part in _wanted(items) for m in part.modalities}
    if not wanted or (len(wanted) == 1 and items.embedding != "blocks"):
        return ()
    return tuple(sorted(wanted - set(Content.of(data, items).held)))


def redundant_without(data: ChallengeData, items: Items) -> tuple[Modality, ...]:
    """The missing modalities, if without them another embedding has the same vectors.

    ``blocks`` of factors and one modality are like no other.
    """
    missing = missing_modalities(data, items)
    alone = len(item_blocks(Content.of(data, items), items)) == 1 if missing else True
    return missing if alone or items.embedding != "blocks" else ()


def describe(data: ChallengeData, items: Items) -> str:
    """Say what the table is made of, and which share of the variance each PCA keeps."""
    if items.embedding not in _PARTS:
        return f"{items.embedding}: {item_table(data, items).shape[1]:,} dimensions, as given"
    content, lines = Content.of(data, items), []
    for part in item_blocks(content, items):
        dims = _dims(content, items, part)
        line = f"{part.name}: {dims:,} dimensions, as given"
        if part.learned:
            line = f"{part.name}: {dims:,} dimensions, from who took what"
        elif part.key is not None:
            pca = modality_pca(content, part.modalities)
            share = f"{100 * pca.explained(dims):.1f} % of the variance"
            line = f"{part.name}: PCA, {dims:,} of {pca.width:,} dimensions, {share}"
            line += ", whitened" if items.whiten else ""
        lines.append(line + (", unit length" if items.normalize == "l2" else ""))
    return "\n".join(lines)


def item_blocks(content: Content, items: Items) -> list[Part]:
    """The parts of an embedding that is made here, without missing modalities; else none."""
    wanted = _wanted(items)
    held = [
        replace(part, modalities=tuple(m for m in part.modalities if m in content.held))
        for part in wanted
    ]
    # If all are missing, loading says what to do.
    return [part for part in held if part.modalities or part.learned] or list(wanted)


def block_scale(items: Items, part: Part) -> float:
    """The factor of a part's values beside the other blocks: its weight."""
    return float(getattr(items, f"{part.name}_weight")) if items.embedding == "blocks" else 1.0


def _wanted(items: Items) -> tuple[Part, ...]:
    if items.embedding == "blocks":
        return tuple(_BLOCKS[name] for name in items.blocks)
    return _PARTS.get(items.embedding, ())


def _dims(content: Content, items: Items, part: Part) -> int:
    if part.learned:
        if part.learned == "aligned" and not content.held:
            raise DataError(
                "aligned vectors need text or image, and the folder has neither; use factors, or "
                "name a file of 'mmctr-kit items encode' (items.encoded)"
            )
        return int(getattr(items, str(part.key)))
    width: int = sum(x.shape[1] for x in item_vectors(content, part.modalities))
    if part.key is None:
        return width
    wanted: int = getattr(items, part.key)
    if wanted > width:
        raise DataError(
            f"items.{part.key} is {wanted}, but the folder's {part.name} vectors have {width} "
            f"values; set it to {width} or less"
        )
    return wanted


def _fill(out: Floats32, content: Content, items: Items, part: Part) -> None:
    if part.learned:
        out[:] = np.nan
        return
    vectors = item_vectors(content, part.modalities)
    values: Floats32 | Floats = vectors[0]
    if part.key is not None:
        pca = modality_pca(content, part.modalities)
        values = project(pca, vectors, out.shape[1], items.whiten)
    if items.embedding == "blocks":
        values = values / (np.linalg.norm(values, axis=1).mean() or 1.0)
    if items.normalize == "l2":
        length = np.sqrt(np.einsum("ij,ij->i", values, values, dtype=np.float64))
        # Divided in float64 without a float64 copy of the whole.
        np.divide(values, np.where(length > 0, length, 1.0)[:, None], out=out, casting="same_kind")
    else:
        out[:] = values
    out *= np.float32(block_scale(items, part))
