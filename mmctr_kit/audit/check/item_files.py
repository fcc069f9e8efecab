"""Checks on the padding row and the tags; and what later checks need of the item files."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mmctr_kit.audit.check.scan import FileScan
from mmctr_kit.audit.findings import Log
from mmctr_kit.data.contract import PAD
from mmctr_kit.data.hashing import vector_keys
from mmctr_kit.data.load import MAX_SQUARED, MAX_TAG
from mmctr_kit.data.packing import zero_after_value
from mmctr_kit.data.parquet import ints, ragged
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.errors import plural
from mmctr_kit.metrics.ranks import Flags, Floats32, Ints, Uints

ITEM_FILES = ("item_info", "item_feature", "item_emb")
SPARSE_TAGS = 100
"""A largest tag id of more than this times the number of tags is worth a warning."""
FAR = 1e4
"""A largest value of more than this times the usual one drowns every other."""
SAMPLE = 3_000
"""Number of items whose wide vectors are kept, to compare item_feature with item_emb."""


@dataclass(frozen=True)
class Vectors:
    """One embedding column, row for row as in the file (the padding item is left out).

    ``item_id`` (rows,) int64; ``keys`` (rows,) uint64, equal for equal vectors; ``largest`` (rows,)
    float32, the largest absolute value of a vector, NaN if it holds a NaN. ``sampled``
    (sample,) int64: the rows whose ``values`` (sample, width) float32 are in memory.
    """

    item_id: Ints
    keys: Uints
    largest: Floats32
    sampled: Ints
    values: Floats32

    @property
    def zero(self) -> Flags:
        """(rows,) bool: all zeros."""
        return np.asarray(self.largest == 0)

    @property
    def broken(self) -> Flags:
        """(rows,) bool: holding a NaN or infinity."""
        return ~np.isfinite(self.largest)

    @property
    def far(self) -> Flags:
        """(rows,) bool: finite, with a value too large to square, or far beyond other items'."""
        largest, usual = self.largest.astype(np.float64), self.usual
        limit = min(MAX_SQUARED, FAR * usual if usual else np.inf)
        return np.asarray((largest > limit) & ~self.broken)

    @property
    def usual(self) -> float:
        """The median of the finite, non-zero vectors' largest values; 0 without any."""
        real = self.largest[~self.zero & ~self.broken]
        return float(np.median(real.astype(np.float64))) if len(real) else 0.0


@dataclass
class ItemFile:
    """The usable columns of one item file; ``padding_nonzero`` names those not zero at item 0."""

    item_id: Ints | None = None
    tags: Ragged[np.int64] | None = None
    levels: dict[str, Ints] = field(default_factory=dict)
    vectors: dict[str, Vectors] = field(default_factory=dict)
    padding_nonzero: list[str] = field(default_factory=list)

    @property
    def has_padding_row(self) -> bool:
        return self.item_id is not None and bool((self.item_id == PAD).any())


def read_items(scans: Mapping[str, FileScan]) -> dict[str, ItemFile]:
    """The item files by name; of item_feature's vectors only a sample of items is kept."""
    return {name: _read(scans[name], sample=name == "item_feature") for name in ITEM_FILES}


def check_items(items: Mapping[str, ItemFile], log: Log) -> None:
    """The padding row and the tags of the item files."""
    _check_padding_row(items["item_info"], log)
    known = {n: f.tags for n, f in items.items() if f.tags is not None}
    for name, tags in known.items():
        _check_tag_ids(name, tags.values, log)
    if "item_info" in known:
        if wrong := int(zero_after_value(known["item_info"]).sum()):
            what = f"item_info: {plural(wrong, 'row')} of item_tags with a 0 after a tag"
            log.fail("left-padding-tags", what, "pad on the left: zeros first, tags last")
        log.passed("left-padding-tags", "tags are padded on the left only")


def _read(scan: FileScan, sample: bool) -> ItemFile:
    file = ItemFile()
    if scan.usable("item_id"):
        file.item_id = np.concatenate([ints(b["item_id"]) for b in scan.batches("item_id")])
    for name in ("likes_level", "views_level"):
        if name in scan.columns and scan.usable(name):
            file.levels[name] = np.concatenate([ints(b[name]) for b in scan.batches(name)])
    if "item_tags" in scan.columns and scan.usable("item_tags"):
        file.tags = Ragged.concatenate([ragged(b["item_tags"]) for b in scan.batches("item_tags")])
    if file.item_id is None:
        return file
    wanted = np.ones(len(file.item_id), np.bool_)
    if sample and len(wanted) > SAMPLE:  # by id, not by position
        drawn = np.random.default_rng(0).choice(len(wanted), SAMPLE, replace=False) + 1
        wanted = np.isin(file.item_id, drawn)
    for column in scan.file.columns:
        if column.kind == "floats" and scan.usable_vector(column.name):
            _read_vectors(scan, column.name, wanted, file)
    tags = file.tags
    if tags is not None and (tags.values[file.item_id[tags.rows] == PAD] != PAD).any():
        file.padding_nonzero.append("item_tags")
    return file


def _read_vectors(scan: FileScan, name: str, wanted: Flags, file: ItemFile) -> None:
    assert file.item_id is not None
    real = file.item_id != PAD
    keys, largest, values, start = [], [], [], 0
    for batch in scan.batches(name):
        x = np.asarray(ragged(batch[name]).dense(), np.float32)
        keys.append(vector_keys(x))
        largest.append(np.maximum(x.max(axis=1), -x.min(axis=1)))
        values.append(x[(wanted & real)[start : start + len(x)]])
        start += len(x)
    top = np.concatenate(largest)
    if top[~real].any():
        file.padding_nonzero.append(name)
    ids, all_keys, held = file.item_id[real], np.concatenate(keys)[real], np.concatenate(values)
    file.vectors[name] = Vectors(ids, all_keys, top[real], np.flatnonzero(wanted[real]), held)


def _check_padding_row(info: ItemFile, log: Log) -> None:
    if info.item_id is None:
        return
    if not info.has_padding_row:
        todo = "put the padding item first: id 0, tags and vector all zeros"
        log.fail("padding-row", "item_info has no row of item 0", todo)
    elif info.padding_nonzero:
        columns = " and ".join(info.padding_nonzero)
        what = f"item_info: the padding item's {columns} are not all zeros"
        log.fail("padding-row", what, "set them to zero; fit a PCA without this row")
    elif info.tags is not None or info.vectors:
        log.passed("padding-row", "the padding item is all zeros")


def _check_tag_ids(name: str, values: Ints, log: Log) -> None:
    tags = np.unique(values[values != PAD])
    low, top = int(tags.min(initial=0)), int(tags.max(initial=0))
    what = f"{name}: {plural(len(tags), 'tag')} with ids up to {top:,}"
    todo = "renumber the tags 1, 2, 3, ...: models hold a vector for every id up to the largest"
    if low < 0:
        what = f"{name}: item_tags holds {low}; tag ids are 0 (padding) and up"
        log.fail("tag-ids", what, "number the tags from 1")
    elif top > MAX_TAG and name == "item_info":
        log.fail("tag-ids", f"{what}; expected up to {MAX_TAG:,}", todo)
    elif top > SPARSE_TAGS * len(tags):
        log.warn("tag-ids", what, todo)
    else:
        log.passed("tag-ids", what)
