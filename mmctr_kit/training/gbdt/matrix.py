"""The feature matrix of a data set's rows, as one fold model sees them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.items.features import ItemFeatures, Levels
from mmctr_kit.items.similarity import Similarity, fit_similarity
from mmctr_kit.items.similarity.contexts import contexts
from mmctr_kit.recipe import Recipe
from mmctr_kit.training.gbdt.collaborative import signal_features
from mmctr_kit.training.gbdt.crossfit import Groups, LabelOptions
from mmctr_kit.training.gbdt.feature_names import feature_meanings
from mmctr_kit.training.gbdt.history import length_features, level_features, tag_features
from mmctr_kit.training.gbdt.lift import ItemLifts, TagLifts, lift_features
from mmctr_kit.training.gbdt.modality import Part, modality_features, table_parts
from mmctr_kit.training.gbdt.packed import Columns, Packed
from mmctr_kit.training.gbdt.statistics import Statistics, statistic_features
from mmctr_kit.training.gbdt.target import Tags, target_features

_CHUNK_POSITIONS = 1 << 17
_CHUNK_VALUES = 1 << 24
"""Vectors are looked up for so many positions at once that they hold about so many values."""


class Items:
    """Tags, levels and vectors of a recipe's items: what all folds share."""

    def __init__(self, recipe: Recipe, data: ChallengeData, items: ItemFeatures) -> None:
        self.recipe = recipe
        self.data = data
        self.tags = Tags.read(data)
        self.levels: Levels = items.levels
        self.parts: tuple[Part, ...] = table_parts(items.table, items.widths, items.present)
        self.names = tuple(feature_meanings([p.name for p in self.parts], recipe.signals.kinds))
        width = max((p.unit.shape[1] for p in self.parts), default=1)
        self.chunk = min(_CHUNK_POSITIONS, _CHUNK_VALUES // width)

    def examples(self, split: Split) -> Examples:
        """The rows of a split, with as much of their histories as the recipe says."""
        return self.data.examples(split, self.recipe.training.max_history)


@dataclass(frozen=True)
class Features:
    """What a fold's training users tell, beside :class:`Items`."""

    items: Items
    half_life: float
    statistics: Statistics
    tag_lifts: TagLifts
    item_lifts: ItemLifts
    similarity: Similarity | None

    @classmethod
    def fit(
        cls, items: Items, rows: NDArray[np.int64], half_life: float, options: LabelOptions
    ) -> "Features":
        """From these rows of the train split alone."""
        data, recipe = items.data, items.recipe
        longest = recipe.training.max_history
        similarity = None
        if recipe.signals.kinds:
            similarity = fit_similarity(data, rows, recipe.signals, longest)
        users = contexts(data, rows, longest) if similarity is None else similarity.contexts
        groups = Groups.make(data, rows, users, options)
        statistics = Statistics.fit(data, groups, items.tags)
        examples = items.examples("train").take(rows)
        return cls(
            items=items,
            half_life=half_life,
            statistics=statistics,
            tag_lifts=TagLifts.fit(data, examples, groups, items.tags),
            item_lifts=ItemLifts.fit(data, examples, groups, statistics.item),
            similarity=similarity,
        )

    def matrix(self, examples: Examples) -> NDArray[np.float32]:
        """(rows, features), the columns those of ``Items.names``; computed in chunks."""
        found = np.empty((len(examples), len(self.items.names)), np.float32)
        begin = 0
        for chunk in examples.chunks(self.items.chunk):
            end = begin + len(chunk)
            columns = self._columns(chunk)
            for place, name in enumerate(self.items.names):
                found[begin:end, place] = columns[name]
            begin = end
        return found

    def _columns(self, chunk: Examples) -> Columns:
        items = self.items
        packed = Packed.of(items.data, chunk, self.half_life)
        columns = {
            **target_features(packed, items.tags),
            **length_features(packed),
            **level_features(packed, items.levels),
            **tag_features(packed, items.tags),
            **statistic_features(packed, self.statistics, items.tags),
            **lift_features(packed, self.tag_lifts, self.item_lifts),
        }
        for part in items.parts:
            columns |= modality_features(packed, part)
        if self.similarity is not None:
            half_life = items.recipe.signals.half_life
            columns |= signal_features(packed, self.similarity, items.data, half_life)
        return columns
