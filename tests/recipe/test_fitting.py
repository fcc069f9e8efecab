"""The blocks training and folds: which keys do something, and what folds give to a fold model."""

import numpy as np
import pytest

from mmctr_kit.data.contract import FoldsBy
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.data.folds import trained_on
from mmctr_kit.errors import UsageError
from mmctr_kit.recipe import parse_recipe
from mmctr_kit.recipe.fitting import Folds, Training


def test_without_held_out_users_the_snapshot_is_the_last() -> None:
    assert Training(holdout=0, snapshot="last").holdout == 0
    content = {"name": "x", "model": {"name": "din"}, "training": {"holdout": 0}}
    with pytest.raises(UsageError, match=r"set training\.snapshot=last too"):
        parse_recipe(content, "r")


def test_the_seed_of_folds_does_nothing_if_they_are_by_time() -> None:
    base = {"name": "x", "model": {"name": "din"}}
    for by in ("user", "item"):
        assert parse_recipe({**base, "folds": {"by": by, "seed": 3}}, "r").folds.seed == 3
    with pytest.raises(UsageError, match=r"folds.seed: 3 does nothing while folds.by is time"):
        parse_recipe({**base, "folds": {"by": "time", "seed": 3}}, "r")


@pytest.mark.parametrize("by", ["user", "item", "time"])
def test_the_shares_of_folds_are_those_of_their_rows(by: FoldsBy, timed: ChallengeData) -> None:
    folds = Folds(by=by, count=4)
    fold = folds.assign(timed.train)
    trained = np.mean([trained_on(timed.train, fold, f).mean() for f in range(4)])
    predicted = np.mean([(fold == f).mean() for f in range(4)])
    # In folds by item, the tiny data has many users and items without a row that is asked for.
    tolerance = 0.12 if by == "item" else 0.01
    expected = (pytest.approx(trained, abs=tolerance), pytest.approx(predicted, abs=0.01))
    assert folds.shares == expected
