"""Gradient-boosted trees (LightGBM, Ke et al., NeurIPS 2017) on the features of a row.

The one model file without torch, and the one place beside the stacker that calls LightGBM. Its
features are named in :mod:`mmctr_kit.training.gbdt.matrix`; this file learns the trees.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from mmctr_kit.metrics.ranks import Floats, Floats32, Ints8
from mmctr_kit.models.option_types import (
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

    A tree has ``leaves`` leaves of at least ``leaf_rows`` rows; ``feature_share`` of the features
    and ``row_share`` of the rows are drawn for each tree; ``l2`` is the penalty on leaf values.
    With ``extra_trees`` each feature is tried at one random threshold alone (extremely randomized
    trees, Geurts et al., Machine Learning 63, 2006). A label mean is shrunk to the overall mean as
    by ``rate_shrinkage`` more rows, that of a pair of items or tags as by ``pair_shrinkage``. A
    training row's features are counted from the ``groups`` of users that its own user is not in,
    see :mod:`mmctr_kit.training.gbdt.crossfit`. ``half_life``, in positions, is that of the recency
    weights.
    With ``similarity_histogram`` the history items in each of ``similarity_buckets`` buckets of
    similarity to the target are counted, as for ``din``.
    """

    exempt: ClassVar[Mapping[str, str]] = {
        "padding": "its features are counted over packed histories; there is nothing to pad",
        "gradient": "trees are grown greedily, without a gradient of their parameters",
        "cuda": "trees grow on the CPU alone",
    }

    def __init__(
        self,
        *,
        rounds: PositiveInt = 25,
        leaves: PositiveInt = 15,
        leaf_rows: PositiveInt = 100,
        feature_share: Share = 0.5,
        row_share: Share = 0.8,
        extra_trees: bool = False,
        l2: NonNegativeFloat = 10.0,
        groups: TwoOrMore = 5,
        rate_shrinkage: NonNegativeFloat = 20.0,
        pair_shrinkage: PositiveFloat = 50.0,
        half_life: PositiveFloat = 8.0,
        similarity_histogram: Annotated[bool, applies_unless("items.embedding", "none")] = False,
        similarity_buckets: Annotated[TwoOrMore, applies_to("similarity_histogram", True)] = 10,
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
