"""Adapt a recipe to a data folder that lacks text or image."""

from typing import Any, get_args

from mmctr_kit.data.contract import Modality
from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.embed.content import Content
from mmctr_kit.recipe import Recipe

_OF_CONTENT = ("text", "image", "separate_pca", "joint_pca", "raw", "aligned")


def adapted(recipe: Recipe, data: ChallengeData) -> tuple[Recipe, list[str]]:
    """The recipe with the item vectors that the folder can give, and what was changed.

    Blocks of a missing modality are dropped, codes of it become codes of factors, and a PCA keeps
    at most as many values as the vectors have. If no vector is left, it is that of item_info.
    """
    items, content = recipe.items, Content.of(data, recipe.items)
    held, changes = content.held, dict[str, Any]()

    def lost(name: str) -> bool:
        if name == "aligned":
            return not held
        return name in get_args(Modality) and name not in held

    if items.embedding == "blocks":
        blocks = [block for block in items.blocks if not lost(block)]
        if len(blocks) < len(items.blocks):
            changes = {"items.blocks": blocks} if blocks else {"items.embedding": "item_info"}
    elif (items.embedding in _OF_CONTENT and not held) or lost(items.embedding):
        changes = {"items.embedding": "item_info"}
    if lost(recipe.codes.of):
        changes["codes.of"] = "factors"
    if "items.embedding" not in changes:
        for modality in held:
            key, width = f"{modality}_dim", content.vectors(modality).shape[1]
            if items.dims.get(key, 0) > width:
                changes[f"items.{key}"] = width
    if not changes:
        return recipe, []
    shown = [f"{key}={_shown(value)}" for key, value in changes.items()]
    return recipe.changed(changes), shown


def _shown(value: object) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, list) else str(value)
