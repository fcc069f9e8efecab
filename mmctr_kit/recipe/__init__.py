"""Recipes: a whole run in one YAML file, as a typed and closed schema."""

from mmctr_kit.recipe.blocks import (
    SIGNAL_KINDS,
    Augmentation,
    Block,
    Codes,
    Items,
    SignalKind,
    Signals,
)
from mmctr_kit.recipe.fitting import Folds, Training
from mmctr_kit.recipe.load import find_recipe, load_recipe, recipe_folder, shipped_recipes
from mmctr_kit.recipe.schema import Recipe, parse_recipe

__all__ = [
    "SIGNAL_KINDS",
    "Augmentation",
    "Block",
    "Codes",
    "Folds",
    "Items",
    "Recipe",
    "SignalKind",
    "Signals",
    "Training",
    "find_recipe",
    "load_recipe",
    "parse_recipe",
    "recipe_folder",
    "shipped_recipes",
]
