"""Texts and images of item_feature.parquet: their vectors, and which items lack a good one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from mmctr_kit.data.cache import cached
from mmctr_kit.data.contract import FILES, Modality
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.hashing import vector_keys
from mmctr_kit.data.load import load_vectors
from mmctr_kit.data.parquet import column_names, ints, read_columns
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.errors import DataError
from mmctr_kit.metrics.ranks import Floats32, Ints8

_FORMAT = 1
_FILE = FILES["item_feature"]
_BATCH_ROWS = 8192
WEAK_TITLE_WORDS = 2
"""A title with at most this many words is weak text."""
_CJK = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
# Chinese and Japanese put no spaces between words: each character counts as a word.
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")


class Quality(IntEnum):
    """Whether an item has a good text or image, a weak one or none."""

    PRESENT = 0
    WEAK = 1
    MISSING = 2


@dataclass(frozen=True)
class Coverage:
    """The quality of every item's text and image.

    ``text`` and ``image`` (n_items + 1,) int8 of :class:`Quality`, the padding item missing; None
    if the folder does not say. ``unknown``: what it does not say, and why.

    Missing: the vector is all zeros, or item_feature lacks the item. Weak text: the title has at
    most two words. Weak image: another item has exactly the same vector, as placeholder images
    do. Norms are not used: BERT's and CLIP's hardly differ, and many tools normalise them.
    """

    text: Ints8 | None
    image: Ints8 | None
    unknown: Mapping[str, str]


def item_coverage(data: ChallengeData) -> Coverage:
    """The coverage of the folder's items.

    An absent or broken file or column makes the modality unknown: the models may not have used it.
    """
    if not (data.folder / _FILE.path).is_file():
        why = f"the data folder has no {_FILE.path}"
        return Coverage(None, None, {"text": why, "image": why})
    unknown: dict[str, str] = {}
    text = _known(data, "txt_emb_BERT", "text", unknown)
    image = _known(data, "img_emb_CLIPRN50", "image", unknown)
    title = None if text is None else _known(data, "item_title", "weak text", unknown)
    if text is not None and title is not None:
        weak = (text == Quality.PRESENT) & (title == Quality.WEAK)
        text = np.where(weak, np.int8(Quality.WEAK), text)
    return Coverage(text, image, unknown)


def words(title: str) -> int:
    """The number of words of a title; a CJK character counts as one."""
    return len(_WORD.findall(title))


def _known(data: ChallengeData, column: str, what: str, unknown: dict[str, str]) -> Ints8 | None:
    path = data.folder / _FILE.path
    try:
        if column not in column_names(path):
            raise DataError(f"{_FILE.path} has no column {column}")
        settings = {"column": column, "items": data.n_items, "format": _FORMAT}
        made = cached(
            "coverage", {"file": path}, settings, lambda: ({"quality": _quality(data, column)}, {})
        )
        return made[0]["quality"]
    except DataError as e:
        unknown[what] = str(e).replace(f"{data.folder}/", "")  # a run does not name the data folder
        return None


def _quality(data: ChallengeData, column: str) -> Ints8:
    """(n_items + 1,) int8: the Quality of each item by one column."""
    quality = np.full(data.n_items + 1, Quality.MISSING, np.int8)
    digest = np.zeros(data.n_items + 1, np.uint64)
    for batch in read_columns(data.folder, _FILE, ("item_id", column), _BATCH_ROWS):
        ids, values = ints(batch["item_id"]), batch[column]
        wrong = (ids < 0) | (ids > data.n_items)
        if wrong.any():
            raise DataError(
                f"{_FILE.path}: item {ids[wrong][0]} is not among items 1..{data.n_items}"
            )
        if isinstance(values, Ragged):
            vectors = values.padded(int(values.lengths.max(initial=0)))
            quality[ids] = np.where(vectors.any(axis=1), Quality.PRESENT, Quality.MISSING)
            digest[ids] = vector_keys(vectors)
        else:
            short = [words(str(title)) <= WEAK_TITLE_WORDS for title in values]
            quality[ids] = np.where(short, Quality.WEAK, Quality.PRESENT)
    if column == "img_emb_CLIPRN50":
        present = np.flatnonzero(quality == Quality.PRESENT)
        _, group, size = np.unique(digest[present], return_inverse=True, return_counts=True)
        quality[present[size[group] > 1]] = Quality.WEAK
    quality[0] = Quality.MISSING
    return quality


COLUMNS: dict[Modality, str] = {"text": "txt_emb_BERT", "image": "img_emb_CLIPRN50"}


def held_modalities(data: ChallengeData) -> tuple[Modality, ...]:
    """The modalities for which item_feature.parquet has a column, text first."""
    path = data.folder / _FILE.path
    columns = column_names(path) if path.is_file() else []
    return tuple(m for m, column in COLUMNS.items() if column in columns)


def load_modality(data: ChallengeData, modality: Modality) -> Floats32:
    """(n_items + 1, d) float32, memory-mapped: BERT's vectors of titles or CLIP's of images.

    Row 0, the padding item, is zero, and so is the row of an item whose file entry is all zeros
    (a missing title or image). Raises DataError if the folder does not hold the modality, or holds
    it for other items than 1..n_items.
    """
    column, path = COLUMNS[modality], data.folder / _FILE.path
    available = held_modalities(data)
    if modality not in available:
        why = f"{_FILE.path} lacks {column}" if path.is_file() else f"it lacks {_FILE.path}"
        use = available[0] if available else "item_info"
        raise DataError(
            f"the folder has no {modality} embedding ({why}); use items.embedding: {use}"
        )
    return load_vectors(data, "item_feature", column, "modality")
