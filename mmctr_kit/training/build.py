"""The learner of a recipe: which class trains its model."""

from typing import TYPE_CHECKING

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.models.registry import MODELS
from mmctr_kit.recipe import Recipe

if TYPE_CHECKING:
    from mmctr_kit.training.data.fold_cache import Shared
from mmctr_kit.training.learner import Learner


def make_learner(
    recipe: Recipe, data: ChallengeData, device: str, shared: "Shared | None" = None
) -> Learner:
    """The learner of the recipe's model, on ``device`` ('cpu', 'cuda', 'cuda:1'); trees grow on the
    CPU whatever it is. Networks of one data set and device may have ``shared`` rows and signals."""
    if MODELS[recipe.model_name].learner == "gbdt":
        from mmctr_kit.training.gbdt.learner import BoostedLearner

        return BoostedLearner(recipe, data)
    from mmctr_kit.training.neural import NeuralLearner

    return NeuralLearner(recipe, data, device, shared)


def check_model(recipe: Recipe, data: ChallengeData) -> None:
    """Raise UsageError where options of the recipe's model do not go together, or not with its
    items. It takes no memory for the model's weights, and no time to speak of."""
    if MODELS[recipe.model_name].learner == "gbdt":
        return  # every option of a boosted model goes with every other
    from mmctr_kit.training.neural import build_on_meta

    build_on_meta(recipe, data)
