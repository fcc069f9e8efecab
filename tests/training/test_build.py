"""mmctr_kit.training.build: each model gets the learner that its registry entry names."""

import pytest

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.errors import UsageError
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.recipe import load_recipe
from mmctr_kit.training.build import check_model, make_learner
from mmctr_kit.training.data.source import FoldCache
from mmctr_kit.training.gbdt.learner import BoostedLearner
from mmctr_kit.training.neural import NeuralLearner


@pytest.mark.parametrize(
    ("recipe", "learner"), [("din_demo", NeuralLearner), ("gbdt_demo", BoostedLearner)]
)
def test_a_recipe_gets_the_learner_that_its_model_names(
    tiny: ChallengeData, recipe: str, learner: type
) -> None:
    resolved = load_recipe(recipe, [])
    items = ItemFeatures.derive(resolved, tiny)
    check_model(resolved, tiny, items)
    assert type(make_learner(resolved, tiny, items, "cpu")) is learner


def test_options_that_clash_are_refused_before_a_model_is_made(tiny: ChallengeData) -> None:
    clashing = load_recipe("din_mha_demo", ["model.attention_heads=3"])
    with pytest.raises(UsageError, match=r"model\.attention_heads is 3"):
        check_model(clashing, tiny, ItemFeatures.derive(clashing, tiny))


def test_learners_with_one_cache_share_their_rows(tiny: ChallengeData) -> None:
    recipe, cache = load_recipe("din_demo", []), FoldCache()
    items = ItemFeatures.derive(recipe, tiny)
    first = make_learner(recipe, tiny, items, "cpu", cache)
    rows = cache.rows(tiny, recipe.training.max_history)
    second = make_learner(recipe, tiny, items, "cpu", cache)
    assert isinstance(first, NeuralLearner)
    assert isinstance(second, NeuralLearner)
    assert first._base is second._base is rows
