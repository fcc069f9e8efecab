"""Bad items, planted among generated ones: what a report on the items' quality should point to."""

import csv
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from mmctr_kit.data.contract import IMAGES_FOLDER, Modality
from mmctr_kit.errors import UsageError
from mmctr_kit.metrics.ranks import Floats32

MOST = 0.5
"""At most this share of the items can be bad."""

_VECTOR_KINDS: tuple[tuple[Modality, str], ...] = (
    ("text", "near_zero"),
    ("image", "near_zero"),
    ("text", "duplicate"),
    ("image", "duplicate"),
    ("text", "far"),
    ("image", "far"),
    ("image", "swapped"),
    ("text", "language"),
    ("text", "empty"),
)
_COVER_KINDS: tuple[tuple[Modality, str], ...] = (
    ("image", "tiny"),
    ("image", "grey"),
    ("image", "truncated"),
)
_NEAR_ZERO = 1e-4
_FAR = 3.0
"""A vector that is far from all others is this many times as far from the mean as it was."""
_TINY = 8
_OTHER_LANGUAGES = tuple(
    tuple(words.split())
    for words in (
        "и вот как мы сделали это дома вместе своими руками за один вечер без денег",
        "und so haben wir das nicht für möglich gehalten weil uns keiner geholfen hat",
        "así que lo hicimos en la cocina de mi abuela porque nadie nos quería ayudar",
        "这个 真的 太 好看 了 大家 一定 要 来 看 看 今天",
        "これは 本当に すごい から ぜひ 見て ください ね",
    )
)
_OTHER_WORDS = 7


@dataclass(frozen=True)
class BadItem:
    """One planted item: what is wrong with its ``modality``.

    ``kind`` is near_zero, duplicate, far, swapped, language, empty, tiny, grey or truncated.
    ``other`` is the item that a duplicate or swapped item takes its text or image from, else 0.
    """

    item_id: int
    modality: Modality
    kind: str
    other: int


def require_share(share: float) -> None:
    """Raise UsageError unless this share of the items can be made bad."""
    if not 0 <= share <= MOST:
        raise UsageError(f"the share of bad items is {share:g}; expected 0 to {MOST:g}")


def plant(
    titles: list[str],
    text: Floats32,
    image: Floats32,
    share: float,
    covers: bool,
    rng: np.random.Generator,
) -> tuple[BadItem, ...]:
    """Spoil this share of the items, each in one way and all ways alike; change the arguments.

    Row ``i`` of ``text`` and ``image``, (n_items, d) each, is item ``i + 1``. Bad are only items
    that had a title and an image. ``covers`` adds the kinds that spoil pictures, whose vectors say
    no more of the item than a foreign title's; :func:`spoil_covers` does the rest.
    """
    whole = np.flatnonzero(text.any(axis=1) & image.any(axis=1))
    drawn = rng.permutation(whole)
    kinds = (*_VECTOR_KINDS, *(_COVER_KINDS if covers else ()))
    count = min(round(share * len(titles)), len(drawn) // 2)
    rows, good = drawn[:count], drawn[count:]
    groups: dict[tuple[Modality, str], Any] = {
        kind: rows[i :: len(kinds)] for i, kind in enumerate(kinds)
    }
    bad = []
    for (modality, kind), some in groups.items():
        vectors = text if modality == "text" else image
        others = np.zeros(len(some), np.int64)
        if kind == "near_zero":
            vectors[some] *= _NEAR_ZERO
        elif kind == "far":
            mean = vectors[whole].mean(axis=0)
            vectors[some] = mean + _FAR * (vectors[some] - mean)
        elif kind == "duplicate":
            others = 1 + rng.choice(good, len(some), replace=False)
            vectors[some] = vectors[others - 1]
            if modality == "text":
                for row, other in zip(some, others, strict=True):
                    titles[row] = titles[other - 1]
        elif kind == "swapped":
            some = some[: len(some) // 2 * 2]
            others = 1 + some.reshape(-1, 2)[:, ::-1].ravel()
            vectors[some] = vectors[others - 1]
        else:
            vectors[some] = _blank(vectors[whole], len(some), rng)
            if modality == "text":
                for row in some:
                    titles[row] = _foreign(rng) if kind == "language" else ""
        bad += [
            BadItem(int(row) + 1, modality, kind, int(other))
            for row, other in zip(some, others, strict=True)
        ]
    return tuple(sorted(bad, key=lambda b: b.item_id))


def _blank(vectors: Floats32, count: int, rng: np.random.Generator) -> Floats32:
    """``count`` vectors near the mean: those of content that says nothing of its item."""
    mean, spread = vectors.mean(axis=0), vectors.std(axis=0)
    noise = 0.3 * spread * rng.standard_normal((count, vectors.shape[1]))
    return np.asarray(mean + noise, np.float32)


def _foreign(rng: np.random.Generator) -> str:
    language = _OTHER_LANGUAGES[rng.integers(len(_OTHER_LANGUAGES))]
    start = rng.integers(max(1, len(language) - _OTHER_WORDS))
    text = " ".join(language[start : start + _OTHER_WORDS])
    return text[:1].upper() + text[1:]


def spoil_covers(data: Path, bad: Sequence[BadItem]) -> None:
    """Spoil the bad items' pictures under ``data``, as their kinds say."""
    from PIL import Image

    def path(item: int) -> Path:
        return data / IMAGES_FOLDER / f"{item}.jpg"

    def tiny(item: BadItem) -> None:
        with Image.open(path(item.item_id)) as picture:
            small = picture.resize((_TINY, _TINY))
        small.save(path(item.item_id), "JPEG")

    def grey(item: BadItem) -> None:
        Image.new("RGB", (96, 96), (127, 127, 127)).save(path(item.item_id), "JPEG")

    def truncated(item: BadItem) -> None:
        os.truncate(path(item.item_id), path(item.item_id).stat().st_size // 3)

    def duplicate(item: BadItem) -> None:
        shutil.copyfile(path(item.other), path(item.item_id))

    def swapped(item: BadItem) -> None:
        if item.item_id < item.other:
            first, second = path(item.item_id), path(item.other)
            between = first.with_suffix(".tmp")
            first.rename(between)
            second.rename(first)
            between.rename(second)

    spoil: dict[str, Callable[[BadItem], None]] = {
        f.__name__: f for f in (tiny, grey, truncated, duplicate, swapped)
    }
    for item in bad:
        if item.modality == "image" and item.kind in spoil:
            spoil[item.kind](item)


def write_truth(path: Path, bad: Sequence[BadItem]) -> None:
    """Write a CSV file with one row a bad item."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow([f.name for f in fields(BadItem)])
        rows.writerows(map(astuple, bad))
