"""Tiny data sets as plain lists: drawn at random, and handed to the package in two ways.

A world holds cases that are rare in real data: empty histories, histories that repeat an item,
items that no training row shows, items without tags, levels, text or image, and users who have rows
in several splits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmctr_kit.data.contract import FILES, SPLITS, Split
from mmctr_kit.data.dataset import ChallengeData, Examples, Rows
from mmctr_kit.data.load import load
from mmctr_kit.data.packing import deduplicate
from mmctr_kit.data.ragged import Ragged
from mmctr_kit.training.gbdt.matrix import Shrinkage
from tests.data.test_contexts import ITEMS

SHRINKAGE = Shrinkage(rate=2.0, pair=3.0)
GROUPS, SEED = 3, 7
TAGS, MOST_ITEM_TAGS, WIDTH = 6, 3, 3
UNSEEN = ITEMS
"""The item that no train row shows, neither as its target nor in its history."""

Vectors = Mapping[int, list[float]]
"""Vectors by item; an item without the modality is absent."""


@dataclass(frozen=True)
class Row:
    """A row of a split; its ``history`` is oldest first."""

    user: int
    history: list[int]
    target: int
    likes: int
    views: int
    label: int


@dataclass(frozen=True)
class World:
    """The rows of each split in canonical order, and what is known of each item: its tags, its
    likes and views level (0 if unknown), and its text and image vectors."""

    rows: Mapping[Split, list[Row]]
    tags: Mapping[int, list[int]]
    likes: Mapping[int, int]
    views: Mapping[int, int]
    text: Vectors
    image: Vectors

    @property
    def shown(self) -> set[int]:
        """The items that are the target of some row. Without item_feature.parquet, the package
        knows the levels of no other items."""
        return {row.target for rows in self.rows.values() for row in rows}


def draw_world(random: Random, users: int = 9) -> World:
    items = range(1, ITEMS + 1)
    some_levels = [0, 1, 2, 2, 3, 9]
    likes = {item: random.choice(some_levels) for item in items}
    views = {item: random.choice(some_levels) for item in items}
    tags = {i: random.sample(range(1, TAGS + 1), random.randint(0, MOST_ITEM_TAGS)) for i in items}
    rows: dict[Split, list[Row]] = {}
    # Users 1 and 2 have rows in every split; the others in one.
    for split, first, count in (("train", 1, users), ("valid", 101, 2), ("test", 201, 2)):
        known = range(1, ITEMS if split == "train" else ITEMS + 1)
        users_of_split = [*range(first, first + count), *([] if split == "train" else [1, 2])]
        drawn = [
            row for user in users_of_split for row in _rows_of(random, user, known, likes, views)
        ]
        rows[split] = drawn if split == "test" else sorted(drawn, key=lambda r: (r.user, r.target))
    return World(rows, tags, likes, views, _vectors(random), _vectors(random))


def _rows_of(
    random: Random, user: int, items: range, likes: Mapping[int, int], views: Mapping[int, int]
) -> list[Row]:
    """One to four rows of a user.

    Histories of equal length are equal, so that the longest is unique. Rows with the same target
    are equal, so that their order, which the loader chooses, does not matter.
    """
    histories: dict[int, list[int]] = {}
    rows: dict[int, Row] = {}
    drawn = []
    for _ in range(random.randint(1, 4)):
        length = random.randint(0, 6)
        history = histories.setdefault(length, [random.choice(items) for _ in range(length)])
        item, label = random.choice(items), random.randint(0, 1)
        row = Row(user, history, item, likes[item], views[item], label)
        drawn.append(rows.setdefault(item, row))
    return drawn


def _vectors(random: Random) -> Vectors:
    having = [i for i in range(1, ITEMS + 1) if random.random() < 0.8]
    return {i: [random.randint(-9, 9) + 0.5 for _ in range(WIDTH)] for i in having}


def worlds() -> st.SearchStrategy[World]:
    """Worlds that hypothesis draws."""
    return st.builds(draw_world, st.randoms(), st.integers(2, 9))


def in_memory(world: World) -> ChallengeData:
    """The world without a folder. The text vectors stand for item_info's embedding, and an item's
    levels are read from the rows that have it as their target."""
    every = [row for split in SPLITS for row in world.rows[split]]
    items = np.array([i for row in every for i in row.history], np.int32)
    lengths = np.array([len(row.history) for row in every], np.int64)
    histories, index = deduplicate(Ragged.of(items, lengths))
    rows: dict[Split, Rows] = {}
    begin = 0
    for split in SPLITS:
        split_rows = world.rows[split]
        rows[split] = Rows(
            user_id=np.array([r.user for r in split_rows], np.int64),
            item_id=np.array([r.target for r in split_rows], np.int32),
            occurrence=np.array(occurrences(split_rows), np.int32),
            likes_level=np.array([r.likes for r in split_rows], np.int8),
            views_level=np.array([r.views for r in split_rows], np.int8),
            history=index[begin : begin + len(split_rows)],
            label=None if split == "test" else np.array([r.label for r in split_rows], np.int8),
        )
        begin += len(split_rows)
    tags = np.array(_padded_tags(world), np.int32)
    table = np.array([_vector(world.text, item) for item in range(ITEMS + 1)], np.float32)
    return ChallengeData(Path("nowhere"), rows, histories, tags, table, "rows", "context")


def on_disk(world: World, folder: Path) -> ChallengeData:
    """The world written to a data folder and loaded, with an item_feature.parquet."""
    ids = list(range(1, ITEMS + 1))
    info = {
        "item_id": [0, *ids],
        "item_tags": _padded_tags(world),
        "item_emb_d128": [[0.0] * WIDTH] * (ITEMS + 1),
    }
    feature = {
        "item_id": ids,
        "item_title": [f"the title of item {i}" for i in ids],
        "item_tags": [world.tags[i] for i in ids],
        "likes_level": [world.likes[i] for i in ids],
        "views_level": [world.views[i] for i in ids],
        "txt_emb_BERT": [_vector(world.text, i) for i in ids],
        "img_emb_CLIPRN50": [_vector(world.image, i) for i in ids],
    }
    tables = {split: _columns(world.rows[split], split) for split in SPLITS}
    for name, columns in ({**tables, "item_info": info, "item_feature": feature}).items():
        path = folder / FILES[name].path
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(columns), path)
    return load(folder)


def examples_of(data: ChallengeData, max_history: int) -> dict[Split, Examples]:
    return {split: data.examples(split, max_history) for split in SPLITS}


def of_strangers(examples: Examples) -> Examples:
    """The same rows of users who are in no training row."""
    return replace(examples, user_id=examples.user_id + 1000)


def all_rows(data: ChallengeData) -> NDArray[np.int64]:
    return np.arange(len(data.train))


def occurrences(rows: list[Row]) -> list[int]:
    keys = [(row.user, row.target) for row in rows]
    return [keys[:place].count(key) for place, key in enumerate(keys)]


def users_of(rows: list[Row]) -> list[int]:
    return [user for user, _ in groupby(sorted(row.user for row in rows))]


def _columns(rows: list[Row], split: Split) -> dict[str, list[object]]:
    longest = max(len(row.history) for row in rows)
    columns: dict[str, list[object]] = {
        "user_id": [r.user for r in rows],
        "item_seq": [[0] * (longest - len(r.history)) + r.history for r in rows],
        "item_id": [r.target for r in rows],
        "likes_level": [r.likes for r in rows],
        "views_level": [r.views for r in rows],
    }
    last = {"ID": list(range(len(rows)))} if split == "test" else {"label": [r.label for r in rows]}
    return {**columns, **last}


def _padded_tags(world: World) -> list[list[int]]:
    rows = [world.tags.get(item, []) for item in range(ITEMS + 1)]
    return [[0] * (MOST_ITEM_TAGS - len(tags)) + tags for tags in rows]


def _vector(vectors: Vectors, item: int) -> list[float]:
    return vectors.get(item, [0.0] * WIDTH)
