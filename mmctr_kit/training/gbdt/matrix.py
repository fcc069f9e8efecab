"""The feature matrix of rows, counted from some training users, and its columns, one line each.

*target* and *history* are those of the row; *recent* means weighted by recency, 2 ** (-age /
half_life) for an item ``age`` positions before the newest. A feature is NaN if it has no value: no
history, an unknown level, no tags. Nothing depends on padding, or on a position but by its age.

:mod:`.crossfit` says from which users the features of a row are counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mmctr_kit.data.contexts import contexts
from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.items import Floats32, Ints
from mmctr_kit.items.features import ItemFeatures, Levels
from mmctr_kit.items.similarity import Similarity, fit_similarity
from mmctr_kit.items.table import modality_names
from mmctr_kit.recipe import Recipe
from mmctr_kit.training.gbdt.history import (
    Tags,
    length_features,
    level_features,
    tag_features,
    target_features,
)
from mmctr_kit.training.gbdt.lift import ItemLifts, TagLifts, lift_features
from mmctr_kit.training.gbdt.packed import Columns, Packed
from mmctr_kit.training.gbdt.similarity import (
    Part,
    code_features,
    modality_features,
    part_names,
    signal_features,
    table_parts,
)
from mmctr_kit.training.gbdt.statistics import Statistics, statistic_features

_CHUNK_POSITIONS = 1 << 17
_CHUNK_VALUES = 1 << 24
"""The most values of item vectors that are looked up at once."""

ROW: Mapping[str, str] = {
    # history.py, target
    "likes_level": "the target's likes level, 1..10",
    "views_level": "the target's views level, 1..10",
    "tags": "number of the target's tags",
    "tag_rarity": "log(items / items with the tag), of the target's rarest tag",
    # history.py, length and identity
    "history_length": "items in the history",
    "history_distinct": "distinct items in the history",
    "history_repeats": "share of the history that repeats an earlier item",
    "target_in_history": "times that the target stands in the history",
    "target_age": "positions since the target last stood in the history",
    # history.py, levels
    "history_likes_mean": "mean likes level of the history",
    "history_likes_last": "likes level of the history's newest item",
    "history_likes_spread": "standard deviation of the history's likes levels",
    "likes_over_history": "the target's likes level less the history's mean",
    "likes_matches": "share of the history with the target's likes level",
    "history_views_mean": "mean views level of the history",
    "history_views_last": "views level of the history's newest item",
    "history_views_spread": "standard deviation of the history's views levels",
    "views_over_history": "the target's views level less the history's mean",
    "views_matches": "share of the history with the target's views level",
    # history.py, tags
    "tags_shared_mean": "tags shared with the target, mean over the history",
    "tags_shared_recent": "tags shared with the target, recent mean over the history",
    "tags_shared_rarity_mean": "sum of the shared tags' rarity, mean over the history",
    "tags_shared_rarity_recent": "sum of the shared tags' rarity, recent mean over the history",
    "tags_shared_rarity_top3": "sum of the shared tags' rarity, mean of the three largest",
    "tag_hits": "items of the history that share a tag with the target",
    "tag_hit_share": "share of the history that shares a tag with the target",
    "tag_hit_age": "age of the newest history item that shares a tag with the target",
    "tags_covered": "share of the target's tags that the history shows",
    "history_tags_mean": "mean number of tags of the history's items",
    # statistics.py, counts
    "history_users": "log(1 + training users who took the target)",
    "target_rows": "log(1 + training rows of the target)",
    "users_over_rows": "history_users less target_rows",
    "history_users_mean": "history_users of the history's items, mean",
    "history_users_recent": "history_users of the history's items, recent mean",
    "history_users_last": "history_users of the history's newest item",
    "users_over_history": "history_users of the target less the history's mean",
    # statistics.py, label means
    "item_rate": "shrunk label mean of the target",
    "tag_rate_max": "highest shrunk label mean of the target's tags",
    "tag_rate_mean": "mean of the shrunk label means of the target's tags",
    "level_rate": "shrunk label mean of the target's pair of levels",
    "history_rate_mean": "item_rate of the history's items, mean",
    "history_rate_recent": "item_rate of the history's items, recent mean",
    "rate_over_history": "item_rate of the target less the history's mean",
    # lift.py, label means of pairs
    "tag_lift_max": "lift of the target's tags by those of a history item, largest",
    "tag_lift_mean": "lift of the target's tags by those of a history item, mean",
    "tag_lift_recent": "lift of the target's tags by those of a history item, recent mean",
    "tag_lift_top3": "lift of the target's tags by those of a history item, mean of the top 3",
    "item_lift_max": "lift of the target by a history item, largest",
    "item_lift_mean": "lift of the target by a history item, mean over the history",
    "item_lift_recent": "lift of the target by a history item, recent mean",
    "item_lift_sum": "lift of the target by a history item, sum over the history",
}
"""The features of every row."""

_COSINE = "cosine of the target's and a history item's vectors"
_SIMILARITY = "similarity of the target and a history item"


def _pooled(what: str) -> dict[str, str]:
    return {
        "max": f"{what}, largest",
        "mean": f"{what}, mean over the history",
        "recent": f"{what}, recent mean",
        "top3": f"{what}, mean of the three largest",
        "last": f"{what}, of the newest one",
    }


PART: Mapping[str, str] = {
    **_pooled(_COSINE),
    "centre": "cosine of the target's vector with the sum of the history's unit vectors",
    "centre_recent": "cosine of the target's vector with the recent mean of the unit vectors",
    "norm": "length of the target's vector",
    "missing": "1 if the target has no vector",
}
"""The features of each modality, after its name: ``vector``, or ``vector1``, ``vector2`` and so on
if the item table keeps them apart (text, image; in ``blocks`` the factors first); similarity.py.
To a user a modality has its own name, such as ``text``."""

BUCKET = "history items whose cosine with the target is in bucket {} of {}, from the lowest"
"""A column for each bucket of a modality, ``vector_bucket1`` and so on, if the model asks for them;
similarity.py, with the edges of :func:`mmctr_kit.models.layers.similarity.bucket_edges`."""

LEVEL: Mapping[str, str] = {
    "matches": "history items that have the target's codes up to this level",
    "share": "share of the history that has the target's codes up to this level",
}
"""The features of each level of the codes, after ``codes1`` and so on; similarity.py."""

CODES: Mapping[str, str] = {
    "codes_depth_recent": "number of first codes in common with the target, recent",
    "codes_age": "age of the newest history item with all codes of the target",
    "codes_missing": "1 if the target has no codes",
}
"""The features of all levels together, if the recipe makes codes; similarity.py."""

KIND: Mapping[str, str] = _pooled(_SIMILARITY)
"""The features of each signal of the recipe, after its kind; similarity.py."""

EASE_SUM = {"ease_sum": "similarity of kind ease, sum over the history: EASE's score"}


def feature_meanings(
    parts: Sequence[str], kinds: Sequence[str], buckets: int = 0, levels: int = 0
) -> dict[str, str]:
    """Each feature's meaning by its name, in column order, for these modalities and signals.

    ``buckets`` are those of a modality, ``levels`` those of the codes; 0 for none.
    """
    meanings = dict(ROW)
    for part in parts:
        meanings |= {f"{part}_{name}": f"{part}: {meaning}" for name, meaning in PART.items()}
        for number in range(1, buckets + 1):
            meanings[f"{part}_bucket{number}"] = f"{part}: {BUCKET.format(number, buckets)}"
    for level in range(1, levels + 1):
        meanings |= {f"codes{level}_{k}": f"level {level}: {v}" for k, v in LEVEL.items()}
    if levels:
        meanings |= CODES
    for kind in kinds:
        meanings |= {f"{kind}_{name}": f"{kind}: {meaning}" for name, meaning in KIND.items()}
        if kind == "ease":
            meanings |= EASE_SUM
    return meanings


class FeatureInputs:
    """What the features of all folds share: the data, and its items' tags, levels and features.

    ``buckets`` is the number of buckets of a histogram of similarities; 0 for no histogram.
    ``names`` are the columns, ``meanings`` explains them in the same order, by the names that a
    user reads: ``text_max`` for ``vector1_max``.
    """

    def __init__(
        self, recipe: Recipe, data: ChallengeData, items: ItemFeatures, buckets: int = 0
    ) -> None:
        self.recipe = recipe
        self.data = data
        self.tags = Tags.read(data)
        self.levels: Levels = items.levels
        self._items = items
        self._parts: tuple[ItemFeatures, tuple[Part, ...]] | None = None
        self.buckets = buckets
        kinds, levels = recipe.signals.kinds, items.codes.shape[1]
        parts = part_names(items.widths)
        self.names = tuple(feature_meanings(parts, kinds, buckets, levels))
        named = modality_names(data, recipe.items)[: len(parts)]
        self.meanings = feature_meanings(named, kinds, buckets, levels)
        self.chunk = min(_CHUNK_POSITIONS, _CHUNK_VALUES // max(*items.widths, 1))

    def items_of(self, rows: Ints) -> tuple[tuple[Part, ...], Ints]:
        """The items' modalities and codes as a fold model trained on these rows sees them."""
        items = self._items.of_users(rows)
        if self._parts is None or self._parts[0] is not items:
            self._parts = items, table_parts(items.table, items.widths, items.present)
        return self._parts[1], items.codes

    def examples(self, split: Split) -> Examples:
        """The rows of a split, with histories cut to the recipe's ``max_history``."""
        return self.data.examples(split, self.recipe.training.max_history)


@dataclass(frozen=True)
class Shrinkage:
    """Rows that pull a label mean to the usual one: of an item or tag, and of a ``pair``."""

    rate: float
    pair: float


@dataclass(frozen=True)
class Features:
    """The features fitted on some training users, for the rows of all others."""

    inputs: FeatureInputs
    half_life: float
    statistics: Statistics
    tag_lifts: TagLifts
    item_lifts: ItemLifts
    parts: tuple[Part, ...]
    codes: Ints
    similarity: Similarity | None

    @classmethod
    def fit(
        cls,
        inputs: FeatureInputs,
        rows: Ints,
        half_life: float,
        shrinkage: Shrinkage,
    ) -> "Features":
        """Fit statistics, lifts and similarities on these rows of the train split."""
        data, recipe = inputs.data, inputs.recipe
        longest = recipe.training.max_history
        similarity = None
        if recipe.signals.kinds:
            similarity = fit_similarity(data, rows, recipe.signals, longest)
        users = contexts(data, rows, longest) if similarity is None else similarity.contexts
        statistics = Statistics.fit(data, rows, users, inputs.tags, shrinkage.rate)
        examples = inputs.examples("train").take(rows)
        parts, codes = inputs.items_of(rows)
        return cls(
            inputs=inputs,
            half_life=half_life,
            statistics=statistics,
            tag_lifts=TagLifts.fit(data, examples, inputs.tags, shrinkage.pair),
            item_lifts=ItemLifts.fit(data, examples, statistics.item, shrinkage.pair),
            parts=parts,
            codes=codes,
            similarity=similarity,
        )

    def matrix(self, examples: Examples) -> Floats32:
        """Compute the matrix (rows, features) in chunks; its columns are ``inputs.names``."""
        matrix = np.empty((len(examples), len(self.inputs.names)), np.float32)
        begin = 0
        for chunk in examples.chunks(self.inputs.chunk):
            end = begin + len(chunk)
            columns = self._columns(chunk)
            for index, name in enumerate(self.inputs.names):
                matrix[begin:end, index] = columns[name]
            begin = end
        return matrix

    def _columns(self, chunk: Examples) -> Columns:
        inputs = self.inputs
        packed = Packed.of(inputs.data, chunk, self.half_life)
        columns = {
            **target_features(packed, inputs.tags),
            **length_features(packed),
            **level_features(packed, inputs.levels),
            **tag_features(packed, inputs.tags),
            **statistic_features(packed, self.statistics, inputs.tags),
            **lift_features(packed, self.tag_lifts, self.item_lifts),
        }
        for part in self.parts:
            columns |= modality_features(packed, part, inputs.buckets)
        if self.codes.shape[1]:
            columns |= code_features(packed, self.codes)
        if self.similarity is not None:
            half_life = inputs.recipe.signals.half_life
            columns |= signal_features(packed, self.similarity, inputs.data, half_life)
        return columns
