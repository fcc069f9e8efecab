"""The fingerprints of all that a recipe's model sees of the data beside row keys and labels."""

import numpy as np

from mmctr_kit.challenge.data import ChallengeData
from mmctr_kit.items.fusion import item_parts, item_table, table_fingerprint
from mmctr_kit.items.levels import item_levels
from mmctr_kit.recipe import Recipe
from mmctr_kit.registry import MODELS, model_supplies


def feature_fingerprints(recipe: Recipe, data: ChallengeData) -> tuple[str, ...]:
    """Of the rows' context, of the item table, of the items' levels and of which item has which
    modality; the latter two where the model is told them.

    Raises DataError where the folder lacks the embedding that the recipe asks for.
    """
    found = [data.context_fingerprint, table_fingerprint(item_table(data, recipe.items))]
    supplies = model_supplies(recipe.model_name)
    boosted = MODELS[recipe.model_name].learner == "gbdt"
    if "item_likes_level" in supplies or boosted or recipe.augmentation.per_user:
        found.append(table_fingerprint(np.stack(item_levels(data)).astype(np.float32)))
    if "item_present" in supplies:
        widths, present = item_parts(data, recipe.items)
        if len(widths) > 1 or not present[1:].all():
            found.append(table_fingerprint(present.astype(np.float32)))
    return tuple(found)
