"""The learner of a recipe, built from its entry in the registry of models."""

from typing import TYPE_CHECKING, Any

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.items.features import ItemFeatures
from mmctr_kit.models.registry import MODELS, import_target
from mmctr_kit.recipe import Recipe
from mmctr_kit.training.learner import Learner

if TYPE_CHECKING:
    from mmctr_kit.training.data.source import FoldCache


def make_learner(
    recipe: Recipe,
    data: ChallengeData,
    items: ItemFeatures,
    device: str,
    cache: "FoldCache | None" = None,
) -> Learner:
    """Build the learner of the recipe's model, on ``device`` ('cpu', 'cuda', 'cuda:1').

    ``items`` are the recipe's item features on this data. Learners of one data set and device may
    share a ``cache``. A learner that does not use a GPU works on the CPU whatever the device.
    """
    learner: Learner = _learner_class(recipe)(recipe, data, items, device, cache)
    return learner


def check_model(recipe: Recipe, data: ChallengeData, items: ItemFeatures) -> None:
    """Raise UsageError if options of the recipe's model clash with each other or with its items."""
    _learner_class(recipe).check(recipe, data, items)


def _learner_class(recipe: Recipe) -> Any:
    return import_target(MODELS[recipe.model_name].learner.target)
