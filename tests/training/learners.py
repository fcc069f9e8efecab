"""Learners for tests, with the item features of their recipe derived."""

from typing import Any

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.recipe import Recipe
from mmctr_kit.training.build import make_learner


def learner_of(recipe: Recipe, data: ChallengeData, device: str = "cpu") -> Any:
    """The recipe's learner on the device."""
    return make_learner(recipe, data, ItemFeatures.derive(recipe, data), device)
