"""The feature matrix of rows, as one fold model sees them."""

from dataclasses import dataclass

import numpy as np

from mmctr_kit.data.contract import Split
from mmctr_kit.data.dataset import ChallengeData, Examples
from mmctr_kit.items import Floats32, Ints
from mmctr_kit.items.features import ItemFeatures, Levels
from mmctr_kit.items.similarity import Similarity, fit_similarity
from mmctr_kit.items.similarity.contexts import contexts
from mmctr_kit.recipe import Recipe
from mmctr_kit.training.gbdt.crossfit import Groups, LabelOptions
from mmctr_kit.training.gbdt.feature_names import feature_meanings
from mmctr_kit.training.gbdt.history import (
    Tags,
    length_features,
    level_features,
    tag_features,
    target_features,
)
from mmctr_kit.training.gbdt.lift import ItemLifts, TagLifts, lift_features
from mmctr_kit.training.gbdt.packed import Columns, Packed
from mmctr_kit.training.gbdt.similarity import Part, modality_features, signal_features, table_parts
from mmctr_kit.training.gbdt.statistics import Statistics, statistic_features

_CHUNK_POSITIONS = 1 << 17
_CHUNK_VALUES = 1 << 24
"""The most values of item vectors that are looked up at once."""


class FeatureInputs:
    """What the features of all folds share: the data, and its items' tags, levels and vectors."""

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
        """The rows of a split, with histories cut to the recipe's ``max_history``."""
        return self.data.examples(split, self.recipe.training.max_history)


@dataclass(frozen=True)
class Features:
    """The features of one fold model, fitted on its training users."""

    inputs: FeatureInputs
    half_life: float
    statistics: Statistics
    tag_lifts: TagLifts
    item_lifts: ItemLifts
    similarity: Similarity | None

    @classmethod
    def fit(
        cls, inputs: FeatureInputs, rows: Ints, half_life: float, options: LabelOptions
    ) -> "Features":
        """Fit statistics, lifts and similarities on these rows of the train split."""
        data, recipe = inputs.data, inputs.recipe
        longest = recipe.training.max_history
        similarity = None
        if recipe.signals.kinds:
            similarity = fit_similarity(data, rows, recipe.signals, longest)
        users = contexts(data, rows, longest) if similarity is None else similarity.contexts
        groups = Groups.make(data, rows, users, options)
        statistics = Statistics.fit(data, groups, inputs.tags)
        examples = inputs.examples("train").take(rows)
        return cls(
            inputs=inputs,
            half_life=half_life,
            statistics=statistics,
            tag_lifts=TagLifts.fit(data, examples, groups, inputs.tags),
            item_lifts=ItemLifts.fit(data, examples, groups, statistics.item),
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
        for part in inputs.parts:
            columns |= modality_features(packed, part)
        if self.similarity is not None:
            half_life = inputs.recipe.signals.half_life
            columns |= signal_features(packed, self.similarity, inputs.data, half_life)
        return columns
