"""mmctr_kit.training.neural: the learner of every neural model."""

import numpy as np
import pytest

from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.learner import Learner, make_learner
from mmctr_kit.recipe import load_recipe
from mmctr_kit.training.neural import KNOWN_USER

SETTINGS = ("training.epochs=2", "training.batch_size=256")


@pytest.fixture(scope="module")
def learner(tiny: ChallengeData) -> Learner:
    return make_learner(load_recipe("din_demo", SETTINGS), tiny, "cpu")


def test_loaded_weights_predict_what_the_fitted_model_did(
    tiny: ChallengeData, learner: Learner
) -> None:
    list(learner.fit(np.arange(1500), np.arange(1500, 2000), seed=3))
    fitted = learner.predict("test")
    assert fitted.shape == (len(tiny.test),)
    other = make_learner(load_recipe("din_demo", SETTINGS), tiny, "cpu")
    other.load(learner.weights())
    assert np.array_equal(other.predict("test"), fitted)


def test_a_learner_without_a_model_says_so(tiny: ChallengeData) -> None:
    with pytest.raises(ValueError, match="nothing was fitted"):
        make_learner(load_recipe("din_demo", SETTINGS), tiny, "cpu").predict("test")


def test_the_cost_counts_what_a_fit_would_do(learner: Learner) -> None:
    cost = learner.cost(2000)
    assert (cost.batch_size, cost.epochs, cost.steps) == (256, 2, 16)
    assert cost.parameters == sum(
        v.size
        for k, v in learner.weights().items()
        if "running" not in k and "num_batches" not in k and k != KNOWN_USER
    )
    assert cost.seconds_per_step > 0
