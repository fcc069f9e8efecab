"""Adapt a recipe to a data folder that lacks text or image."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mmctr_kit.data.dataset import ChallengeData
from mmctr_kit.embed.content import Content
from mmctr_kit.items.table import item_blocks
from mmctr_kit.recipe import Recipe


def adapted(
    recipe: Recipe, data: ChallengeData, others: Mapping[str, object] = MappingProxyType({})
) -> tuple[Recipe, list[str]]:
    """The recipe with the item vectors that the folder can give, and what was changed.

    Blocks of a missing modality are dropped, and a PCA keeps at most as many values as the vectors
    have. ``others`` are keys to change besides.
    """
    items, content = recipe.items, Content.of(data, recipe.items)
    changes = dict[str, Any](others)
    if items.embedding == "blocks":
        blocks = [part.name for part in item_blocks(content, items)]
        if len(blocks) < len(items.blocks):
            changes["items.blocks"] = blocks
    for modality in content.held:
        key, width = f"{modality}_dim", content.vectors(modality).shape[1]
        if items.dims.get(key, 0) > width:
            changes[f"items.{key}"] = width
    if not changes:
        return recipe, []
    shown = [f"{key}={_shown(value)}" for key, value in changes.items()]
    return recipe.changed(changes), shown


def _shown(value: object) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, list) else str(value)
