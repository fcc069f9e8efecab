"""mmctr_kit.runs.importance: gain over models, and the paired drop of the fold mean's valid AUC."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.files import write_json
from mmctr_kit.metrics.auc import auc_difference
from mmctr_kit.runs.importance import (
    FILE,
    combine_importance,
    feature_importance,
    pack_importance,
)
from mmctr_kit.runs.run import Run
from tests.report.made import predicted

MEANINGS = {"alone": "all that is known", "other": "nothing", "idle": "never looked at"}
GAINS = (np.array([6.0, 2.0, 0.0]), np.array([30.0, 10.0, 0.0]), np.array([1.0, 1.0, 0.0]))


def test_gain_is_a_share_and_its_spread_is_over_models(tiny: ChallengeData) -> None:
    predictions, rows = predicted(tiny, 1.0, 0), np.arange(len(tiny.valid))
    intact = predictions.valid_mean()
    random = np.random.default_rng(0)
    shuffled = random.permutation(intact)
    models = [
        pack_importance(MEANINGS, gain, rows, np.stack([shuffled, intact + shift, intact]))
        for gain, shift in zip(GAINS, (-0.1, 0.0, 0.1), strict=True)
    ]
    alone, other, idle = combine_importance(predictions, models)
    assert (alone.name, alone.meaning) == ("alone", "all that is known")
    assert alone.gain.value == pytest.approx((0.75 + 0.75 + 0.5) / 3)
    assert alone.gain.se == pytest.approx(np.std([0.75, 0.75, 0.5], ddof=1) / math.sqrt(3))
    label, user = predictions.valid_label, predictions.valid_keys.user_id
    expected = auc_difference(label, intact, shuffled.astype(np.float32), user)
    assert alone.drop is not None
    assert alone.drop.value == pytest.approx(expected.value, abs=1e-6)
    assert alone.drop.se == pytest.approx(expected.se, abs=1e-5)
    for feature in (other, idle):
        assert feature.drop is not None
        assert abs(feature.drop.value) < 1e-6


def test_one_model_has_no_spread_and_rows_of_one_label_no_drop(tiny: ChallengeData) -> None:
    predictions = predicted(tiny, 1.0, 0)
    rows = np.flatnonzero(predictions.valid_label == 0)
    model = pack_importance(MEANINGS, GAINS[0], rows, np.zeros((3, len(rows))))
    alone, *_ = combine_importance(predictions, [model])
    assert math.isnan(alone.gain.se)
    assert alone.drop is None


def test_a_run_keeps_its_importance_and_a_network_has_none(
    tiny: ChallengeData, tmp_path: Path
) -> None:
    assert feature_importance(Run(tmp_path)) == ()
    predictions, rows = predicted(tiny, 1.0, 0), np.arange(len(tiny.valid))
    permuted = np.zeros((3, len(rows)))
    features = combine_importance(
        predictions, [pack_importance(MEANINGS, gain, rows, permuted) for gain in GAINS]
    )
    features[-1] = replace(features[-1], drop=None)
    content = {"rows": len(rows), "features": [feature.to_json() for feature in features]}
    write_json(tmp_path / FILE, content)
    assert feature_importance(Run(tmp_path)) == tuple(features)
