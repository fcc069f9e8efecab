"""The trees of the probes that fit a model."""

import numpy as np

from mmctr_kit.audit.profile.boosted import crossfit_scores, important_columns
from tests.audit.profile.leaks import rng


def test_columns_are_judged_where_one_side_has_few_rows() -> None:
    x = rng().normal(size=(30_000, 2)).astype(np.float32)
    label = (np.arange(30_000) % 10_000 == 7).astype(np.int8)
    folds = (np.arange(30_000) // 10_000).astype(np.int16)
    models = crossfit_scores(x, label, folds)[1]
    important = important_columns(models, x, label, folds, ("a", "b"))
    assert {name for name, _ in important} == {"a", "b"}
