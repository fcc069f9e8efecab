"""What a recipe can say, from Python."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.api.preflight import Settings, load_recipe
from mmctr_kit.api.results import frame

if TYPE_CHECKING:
    import pandas as pd

    from mmctr_kit.recipe import Recipe


def recipe_keys(recipe: "str | Path | Recipe", set: Settings = ()) -> "pd.DataFrame":
    """List every key of a recipe: its value, its default, what it takes and what it means.

    Parameters
    ----------
    recipe : str, Path or Recipe
        A shipped name such as ``"din_official"``, a YAML file, or a recipe already loaded. The
        keys under ``model`` are those of its model.
    set : mapping or list of str
        Keys to override first: ``{"items.embedding": "blocks"}``.

    Returns
    -------
    pandas.DataFrame
        A row for each key. ``takes`` has the type and range of its values in words, ``meaning``
        one or a few sentences; ``applies_to`` names the values of other keys with which it does
        something (empty: with all), and ``used`` says whether it does in this recipe.

    Raises
    ------
    UsageError
        For an unknown recipe, an unknown key or a value that a key does not take.

    Examples
    --------
    >>> keys = mmctr_kit.recipe_keys("din_demo").set_index("key")
    >>> keys.loc["training.ema_decay", ["default", "takes", "applies_to"]].tolist()
    [0.99, 'a number, more than 0, less than 1', 'training.average is ema']
    """
    from mmctr_kit.recipe.keys import recipe_keys as keys_of

    rows = [asdict(key) for key in keys_of(load_recipe(recipe, set))]
    return frame(rows, ("key", "value", "default", "takes", "meaning", "applies_to", "used"))
