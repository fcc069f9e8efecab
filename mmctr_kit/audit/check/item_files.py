"""Checks on the items: padding row and tags; and what later checks hold of item files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.audit.check.source import Source, ints, ragged
from mmctr_kit.audit.findings import Finding, Level
from mmctr_kit.data.contract import PAD
from mmctr_kit.data.hashing import vector_keys
from mmctr_kit.data.load import MAX_SQUARED, MAX_TAG
from mmctr_kit.data.parquet import Ragged
from mmctr_kit.errors import plural

ITEM_FILES = ("item_info", "item_feature", "item_emb")
SPARSE_TAGS = 100
"""Times the number of tags that the largest tag id may be before it is worth a warning."""
FAR = 1e4
"""Times the usual largest value of a vector beyond which one drowns every other."""
SAMPLE = 3_000
"""Items whose wide vectors are kept for the comparison of item_feature with item_emb."""


@dataclass(frozen=True)
class Vectors:
    """One embedding column, row for row as in the file (the padding item is left out).

    ``item_id`` (rows,) int64; ``keys`` (rows,) uint64, equal for equal vectors; ``largest`` (rows,)
    float32, the magnitude of a vector's largest value, NaN where it holds one. ``kept`` (rows
    kept,) indexes the rows whose ``values`` (rows kept, width) float32 are held.
    """

    item_id: NDArray[np.int64]
    keys: NDArray[np.uint64]
    largest: NDArray[np.float32]
    kept: NDArray[np.int64]
    values: NDArray[np.float32]

    @property
    def zero(self) -> NDArray[np.bool_]:
        """(rows,) bool: all zeros."""
        out: NDArray[np.bool_] = self.largest == 0
        return out

    @property
    def broken(self) -> NDArray[np.bool_]:
        """(rows,) bool: holding a NaN or infinity."""
        return ~np.isfinite(self.largest)

    @property
    def far(self) -> NDArray[np.bool_]:
        """(rows,) bool: finite, with a value too large to square, or far beyond other items'."""
        largest, usual = self.largest.astype(np.float64), self.usual
        limit = min(MAX_SQUARED, FAR * usual if usual else np.inf)
        out: NDArray[np.bool_] = (largest > limit) & ~self.broken
        return out

    @property
    def usual(self) -> float:
        """The median of the finite, non-zero vectors' largest values; 0 without any."""
        real = self.largest[~self.zero & ~self.broken]
        return float(np.median(real.astype(np.float64))) if len(real) else 0.0


@dataclass
class ItemFile:
    """What is held of one item file: only what its usable columns allow."""

    item_id: NDArray[np.int64] | None = None
    tags: Ragged | None = None
    levels: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    vectors: dict[str, Vectors] = field(default_factory=dict)
    padding_nonzero: list[str] = field(default_factory=list)

    @property
    def has_padding_row(self) -> bool:
        return self.item_id is not None and bool((self.item_id == PAD).any())


def read_items(sources: Mapping[str, Source]) -> dict[str, ItemFile]:
    """The item files by name; wide columns of item_feature are kept for a sample of items only."""
    return {name: _read(sources[name], sample=name == "item_feature") for name in ITEM_FILES}


def item_findings(items: Mapping[str, ItemFile]) -> Iterator[Finding]:
    """What the padding row and the tags of the item files tell."""
    yield from _padding_row(items["item_info"])
    yield from _tags(items)


def _read(source: Source, sample: bool) -> ItemFile:
    found = ItemFile()
    if source.usable("item_id"):
        found.item_id = np.concatenate([ints(b["item_id"]) for b in source.batches("item_id")])
    for name in ("likes_level", "views_level"):
        if name in source.columns and source.usable(name):
            found.levels[name] = np.concatenate([ints(b[name]) for b in source.batches(name)])
    if "item_tags" in source.columns and source.usable("item_tags"):
        parts = [ragged(b["item_tags"]) for b in source.batches("item_tags")]
        found.tags = Ragged(
            np.concatenate([p.values for p in parts]),
            np.concatenate([[0], np.cumsum(np.concatenate([p.lengths for p in parts]))]),
        )
    if found.item_id is None:
        return found
    wanted = _sample(found.item_id) if sample else np.ones(len(found.item_id), np.bool_)
    for column in source.file.columns:
        if column.kind == "floats" and source.usable_vector(column.name):
            _read_vectors(source, column.name, wanted, found)
    if found.tags is not None and _touches_padding(found.tags, found.item_id):
        found.padding_nonzero.append("item_tags")
    return found


def _sample(item_id: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(rows,) bool: the rows of SAMPLE ids, drawn from 1..rows, so by id and not by place."""
    if len(item_id) <= SAMPLE:
        return np.ones(len(item_id), np.bool_)
    drawn = np.random.default_rng(0).choice(len(item_id), SAMPLE, replace=False) + 1
    return np.isin(item_id, drawn)


def _read_vectors(source: Source, name: str, wanted: NDArray[np.bool_], found: ItemFile) -> None:
    assert found.item_id is not None
    keys, largest, values = [], [], []
    start = 0
    for batch in source.batches(name):
        x = np.asarray(ragged(batch[name]).dense(), np.float32)
        keys.append(vector_keys(x))
        largest.append(np.maximum(x.max(axis=1), -x.min(axis=1)))
        values.append(x[wanted[start : start + len(x)]])
        start += len(x)
    every = Vectors(
        found.item_id,
        np.concatenate(keys),
        np.concatenate(largest),
        np.flatnonzero(wanted),
        np.concatenate(values),
    )
    real = every.item_id != PAD
    if not every.zero[~real].all():
        found.padding_nonzero.append(name)
    found.vectors[name] = every if real.all() else _without_padding(every, real)


def _without_padding(every: Vectors, real: NDArray[np.bool_]) -> Vectors:
    keep = real[every.kept]
    return Vectors(
        every.item_id[real],
        every.keys[real],
        every.largest[real],
        (np.cumsum(real) - 1)[every.kept[keep]],
        every.values[keep],
    )


def _touches_padding(tags: Ragged, item_id: NDArray[np.int64]) -> bool:
    return bool((tags.values[np.repeat(item_id == PAD, tags.lengths)] != PAD).any())


def _padding_row(info: ItemFile) -> Iterator[Finding]:
    if info.item_id is None:
        return
    if not info.has_padding_row:
        yield Finding(
            "padding-row",
            Level.FAIL,
            "item_info has no row of item 0",
            "put the padding item first: id 0, tags and vector all zeros",
        )
    elif info.tags is None and not info.vectors:
        return
    elif info.padding_nonzero:
        yield Finding(
            "padding-row",
            Level.FAIL,
            f"item_info: the padding item's {' and '.join(info.padding_nonzero)} are not all zeros",
            "set them to zero; fit a PCA without this row and leave it zero after",
        )
    else:
        yield Finding("padding-row", Level.PASS, "the padding item is all zeros", "")


def _tags(items: Mapping[str, ItemFile]) -> Iterator[Finding]:
    known = {n: f.tags for n, f in items.items() if f.tags is not None}
    yield from (_tag_ids(name, np.asarray(tags.values)) for name, tags in known.items())
    if "item_info" not in known:
        return
    wrong = int(padded_elsewhere(known["item_info"]).sum())
    if wrong:
        yield Finding(
            "left-padding-tags",
            Level.FAIL,
            f"item_info: {plural(wrong, 'row')} of item_tags with a 0 after a tag",
            "pad on the left: zeros first, tags last",
        )
    else:
        yield Finding("left-padding-tags", Level.PASS, "tags are padded on the left only", "")


def _tag_ids(name: str, values: NDArray[np.generic]) -> Finding:
    tags = np.unique(values[values != PAD]).astype(np.int64)
    low, top = int(tags.min(initial=0)), int(tags.max(initial=0))
    if low < 0:
        what = f"{name}: item_tags holds {low}; tag ids are 0 (padding) and up"
        return Finding("tag-ids", Level.FAIL, what, "number the tags from 1")
    what = f"{name}: {plural(len(tags), 'tag')} with ids up to {top:,}"
    todo = "renumber the tags 1, 2, 3, ...: models hold a vector for every id up to the largest"
    if top > MAX_TAG and name == "item_info":
        return Finding("tag-ids", Level.FAIL, f"{what}; expected up to {MAX_TAG:,}", todo)
    if top > SPARSE_TAGS * len(tags):
        return Finding("tag-ids", Level.WARN, what, todo)
    return Finding("tag-ids", Level.PASS, what, "")


def padded_elsewhere(array: Ragged) -> NDArray[np.bool_]:
    """(rows,) bool: True where a 0 follows a value that is not 0."""
    nonzero = np.flatnonzero(array.values)
    bounds = np.searchsorted(nonzero, array.offsets)
    counts = np.diff(bounds)
    wrong = np.zeros(len(array), np.bool_)
    filled = counts > 0
    first = nonzero[bounds[:-1][filled]]
    wrong[filled] = array.offsets[1:][filled] - first != counts[filled]
    return wrong
