"""The fingerprints of all that a recipe's model sees of the data beside row keys and labels."""

import numpy as np

from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.items.fusion import item_table, table_fingerprint
from mmctr_kit.items.levels import item_levels
from mmctr_kit.recipe import Recipe
from mmctr_kit.registry import model_supplies


def feature_fingerprints(recipe: Recipe, data: ChallengeData) -> tuple[str, ...]:
    """Of the rows' context, of the item table, and of the items' levels where the model has them.

    Raises DataError where the folder lacks the embedding that the recipe asks for.
    """
    found = [data.context_fingerprint, table_fingerprint(item_table(data, recipe.items))]
    if "item_likes_level" in model_supplies(recipe.model_name):
        found.append(table_fingerprint(np.stack(item_levels(data)).astype(np.float32)))
    return tuple(found)
