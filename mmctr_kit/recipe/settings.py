"""Settings: values of dotted recipe keys, put into a recipe's content before it is validated."""

from collections.abc import Collection, Mapping
from typing import Any

from mmctr_kit.recipe.blocks import Augmentation, ChoiceBlock, Items, Signals

_CHOICES: Mapping[str, type[ChoiceBlock]] = {
    "items": Items,
    "signals": Signals,
    "augmentation": Augmentation,
}


def drop_idle(content: dict[str, Any], given: Collection[str]) -> None:
    """Where a setting (``given`` are their keys) chose otherwise than the recipe, the recipe's keys
    for its own choice go."""
    for name, block in _CHOICES.items():
        if f"{name}.{block.chooser}" in given and isinstance(content[name], dict):
            choice = content[name][block.chooser]
            idle = block.idle(choice)
            if name == "items" and choice != "file":
                idle.append("file")
            for key in idle:
                if f"{name}.{key}" not in given:
                    content[name].pop(key, None)
