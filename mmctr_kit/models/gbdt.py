"""Gradient-boosted trees (LightGBM, Ke et al., NeurIPS 2017) on the features of a row.

The one model file without torch, and the one place beside the stacker that calls LightGBM. Its
features are named in :mod:`mmctr_kit.training.gbdt.matrix`; this file learns the trees.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np

from mmctr_kit.metrics.ranks import Floats, Floats32, Ints, Ints8
from mmctr_kit.models.option_types import (
    Means,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Share,
    TwoOrMore,
    applies_to,
    applies_unless,
)


class GBDT:
    """Boosts trees in chunks of ``rounds``, each chunk from the scores that the ones before left.

    ``extra_trees`` are extremely randomized trees (Geurts et al., Machine Learning 63, 2006). For
    ``groups`` see :mod:`mmctr_kit.training.gbdt.crossfit`.
    """

    exempt: ClassVar[Mapping[str, str]] = {
        "padding": "its features are counted over packed histories; there is nothing to pad",
        "gradient": "trees are grown greedily, without a gradient of their parameters",
        "cuda": "trees grow on the CPU alone",
    }

    def __init__(
        self,
        *,
        rounds: Annotated[PositiveInt, Means("How many trees an epoch grows.")] = 25,
        leaves: Annotated[PositiveInt, Means("How many leaves a tree has at most.")] = 15,
        leaf_rows: Annotated[PositiveInt, Means("How many rows a leaf has at least.")] = 100,
        feature_share: Annotated[
            Share, Means("The share of the features that is drawn for each tree.")
        ] = 0.5,
        row_share: Annotated[
            Share, Means("The share of the rows that is drawn for each tree.")
        ] = 0.8,
        extra_trees: Annotated[
            bool, Means("Try each feature at one random threshold alone (extremely random trees).")
        ] = False,
        l2: Annotated[NonNegativeFloat, Means("The L2 penalty on leaf values.")] = 10.0,
        groups: Annotated[
            TwoOrMore,
            Means(
                "A training row's features are counted from the users of the other groups; so many "
                "groups there are."
            ),
        ] = 5,
        rate_shrinkage: Annotated[
            NonNegativeFloat,
            Means("An item's label mean is pulled to the overall mean as by so many more rows."),
        ] = 20.0,
        pair_shrinkage: Annotated[
            PositiveFloat,
            Means("The same for the label mean of a pair of items or tags."),
        ] = 50.0,
        half_life: Annotated[
            PositiveFloat, Means("After so many positions an item of the history weighs half.")
        ] = 8.0,
        similarity_histogram: Annotated[
            bool,
            applies_unless("items.embedding", "none"),
            Means("Count the history items in each bucket of similarity to the target."),
        ] = False,
        similarity_buckets: Annotated[
            TwoOrMore,
            applies_to("similarity_histogram", True),
            Means("How many buckets similarity_histogram has."),
        ] = 10,
    ) -> None:
        self.rounds = rounds
        self.leaves = leaves
        self.leaf_rows = leaf_rows
        self.feature_share = feature_share
        self.row_share = row_share
        self.extra_trees = extra_trees
        self.l2 = l2
        self.groups = groups
        self.rate_shrinkage = rate_shrinkage
        self.pair_shrinkage = pair_shrinkage
        self.half_life = half_life
        self.buckets = similarity_buckets if similarity_histogram else 0

    def dataset(self, matrix: Floats32, label: Ints8) -> Any:
        """Bin (rows, features) and (rows,) labels, once for all chunks, into a lightgbm.Dataset."""
        import lightgbm

        binned = {"min_data_in_leaf": self.leaf_rows, "verbosity": -1}
        data = lightgbm.Dataset(matrix, label=label.astype(np.float32), params=binned)
        return data.construct()

    def chunk(
        self,
        dataset: Any,
        scores: Floats,
        learning_rate: float,
        seed: int,
        threads: int,
        grown: Callable[[], None] = lambda: None,
    ) -> bytes:
        """Grow the next ``rounds`` trees, from the (rows,) logits so far, as LightGBM's text.

        ``grown`` is called after each tree.
        """
        import lightgbm

        dataset.set_init_score(scores)
        booster = lightgbm.train(
            {
                "objective": "binary",
                "boost_from_average": False,
                "learning_rate": learning_rate,
                "num_leaves": self.leaves,
                "min_data_in_leaf": self.leaf_rows,
                "feature_fraction": self.feature_share,
                "bagging_fraction": self.row_share,
                "bagging_freq": 1,
                "extra_trees": self.extra_trees,
                "lambda_l2": self.l2,
                "seed": seed % 2**31,
                "deterministic": True,
                "force_row_wise": True,
                "num_threads": threads,
                "verbosity": -1,
            },
            dataset,
            self.rounds,
            callbacks=[lambda _: grown()],
        )
        return str(booster.model_to_string()).encode()


class Trees:
    """A chunk of trees to predict with."""

    def __init__(self, text: bytes) -> None:
        import lightgbm

        self.booster = lightgbm.Booster(model_str=text.decode())

    def predict(self, matrix: Floats32, threads: int) -> Floats:
        """What the chunk adds to the logits, (rows,), of a ``matrix`` (rows, features)."""
        logits = self.booster.predict(matrix, raw_score=True, num_threads=threads)
        return np.asarray(logits, np.float64)

    def importance(self) -> tuple[Floats, Ints]:
        """The gain of the splits by each feature, and how many there are, (features,) each."""
        gain, splits = (self.booster.feature_importance(kind) for kind in ("gain", "split"))
        return np.asarray(gain, np.float64), np.asarray(splits, np.int64)


class SplitTrees:
    """The trees of a model's chunks one by one, by the features that they split by."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._trees: list[tuple[set[int], str]] = []
        for chunk in chunks:
            whole, _, _ = chunk.decode().partition("\nend of trees")
            head, *trees = whole.split("\nTree=")
            # Without the sizes of the trees, LightGBM finds where each begins.
            self._head = re.sub(r"tree_sizes=.*\n", "", head)
            self._trees += [(_splits(tree), tree) for tree in trees]

    def by(self, feature: int) -> Trees:
        """The trees that split by the feature, as a chunk to predict with."""
        texts = [tree for features, tree in self._trees if feature in features]
        numbered = (f"\nTree={n}\n{text.partition(chr(10))[2]}" for n, text in enumerate(texts))
        return Trees(f"{self._head}{''.join(numbered)}\nend of trees\n".encode())


def _splits(tree: str) -> set[int]:
    """The features that a tree of LightGBM's text splits by."""
    line = re.search(r"^split_feature=(.*)$", tree, re.MULTILINE)
    return set() if line is None else set(map(int, line[1].split()))
