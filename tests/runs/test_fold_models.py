"""mmctr_kit.runs.fold_models: each model's own scores, through metrics.json and back."""

import numpy as np
import pytest

from mmctr_kit.metrics.auc import auc_with_se
from mmctr_kit.runs.fold_models import FoldModel, score_model

EPOCHS = [
    {"epoch": 1, "best": True},
    {"epoch": 2, "best": True},
    {"epoch": 3, "best": False},
]
RANDOM = np.random.default_rng(0)
LABEL, USER, LOGIT = RANDOM.integers(0, 2, 60), np.arange(60) // 3, RANDOM.normal(size=60)
NONE = (LABEL[:0], USER[:0])


def test_a_model_is_scored_on_its_own_rows_and_on_valid() -> None:
    logits = {"oof": LOGIT, "valid": -LOGIT}
    model = score_model("2-7", logits, (LABEL, USER), (LABEL, USER), EPOCHS)
    assert (model.fold, model.seed, model.oof_rows) == ("2", 7, 60)
    assert (model.epochs, model.best_epoch) == (3, 2)
    assert model.oof == auc_with_se(LABEL, LOGIT, USER)
    assert model.valid is not None
    assert model.oof is not None
    assert model.oof.value + model.valid.value == pytest.approx(1.0)
    assert FoldModel.from_json(model.to_json()) == model


def test_a_model_of_the_whole_split_has_no_oof_rows_and_may_have_saved_its_last_epoch() -> None:
    model = score_model(
        "all-0", {"oof": LOGIT[:0], "valid": LOGIT}, NONE, (LABEL, USER), [{"epoch": 1, "best": 0}]
    )
    assert (model.fold, model.oof, model.best_epoch) == ("all", None, 1)
    assert FoldModel.from_json(model.to_json()) == model
