"""The contract that every boosted model in the registry keeps."""

from typing import Any

import numpy as np
import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.models.registry import MODELS, model_class
from mmctr_kit.recipe import parse_recipe
from tests.models.test_contract import NEURAL
from tests.training.learners import learner_of

BOOSTED = sorted(set(MODELS) - set(NEURAL))


def boosted(name: str, data: ChallengeData, rows: int = 1600, seed: int = 0, **options: int) -> Any:
    """A boosted model's learner, fitted on the first rows of train but for their last quarter."""
    content: dict[str, Any] = {"name": name, "model": {"name": name, "rounds": 10} | options}
    content["training"] = {"learning_rate": 0.2, "epochs": 3, "snapshot": "last"}
    learner = learner_of(parse_recipe(content, name), data)
    list(learner.fit(np.arange(rows * 3 // 4), np.arange(rows * 3 // 4, rows), seed))
    return learner


@pytest.mark.parametrize("contract", ["padding", "gradient", "cuda"])
@pytest.mark.parametrize("name", BOOSTED)
def test_what_a_boosted_model_cannot_keep_it_declares(name: str, contract: str) -> None:
    assert model_class(name).exempt[contract]


@pytest.mark.parametrize("name", BOOSTED)
def test_a_boosted_rows_prediction_depends_on_no_other_row(name: str, tiny: ChallengeData) -> None:
    learner, order = boosted(name, tiny), np.random.default_rng(0).permutation(len(tiny.test))
    whole = learner.predict("test")
    assert np.array_equal(learner.predict("test", order), whole[order])
    alone = [learner.predict("test", np.array([row]))[0] for row in range(20)]
    assert np.array_equal(alone, whole[:20])


@pytest.mark.parametrize("name", BOOSTED)
def test_the_same_seed_boosts_the_same_model(name: str, tiny: ChallengeData) -> None:
    first, again, other = (boosted(name, tiny, seed=s).predict("test") for s in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", BOOSTED)
def test_saved_trees_give_the_same_predictions_in_a_fresh_learner(
    name: str, tiny: ChallengeData
) -> None:
    learner = boosted(name, tiny)
    fresh = learner_of(learner.recipe, tiny)
    fresh.load(learner.weights())
    assert np.array_equal(fresh.predict("valid"), learner.predict("valid"))


@pytest.mark.parametrize("name", BOOSTED)
def test_sixty_four_rows_can_be_overfitted_by_trees(name: str, tiny: ChallengeData) -> None:
    learner = boosted(
        name, tiny, rows=84, leaf_rows=1, l2=0, rounds=60, row_share=1, feature_share=1
    )
    label = tiny.train.labels()[:63]
    assert np.logaddexp(0, (1 - 2 * label) * learner.predict("train", np.arange(63))).mean() < 0.1
