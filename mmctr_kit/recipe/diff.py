"""The settings in which two nested mappings differ, for the line that refuses one for the other."""

from collections.abc import Iterator, Mapping
from typing import Any

from mmctr_kit.recipe.blocks import ITEM_FILES
from mmctr_kit.recipe.fitting import UNCOUNTED
from mmctr_kit.yaml_files import parse_yaml

MOST = 3
"""How many settings are named; of the others only the number is given."""

ABSENT = "absent"
"""Stands for the value of a key that one of two recipes does not have."""


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """One phrase a setting, such as ``training.epochs: 5 there, 3 now``; empty if all are equal."""
    keys = different_keys(before, now)
    phrases = [f"{key}: {old} there, {new} now" for key, (old, new) in [*keys.items()][:MOST]]
    if len(keys) > MOST:
        phrases.append(f"and {len(keys) - MOST} more")
    return "; ".join(phrases)


def different_keys(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The keys that differ, each with its two values; "absent" stands for a key that is missing."""
    old, new = dict(flat(before)), dict(flat(now))
    pairs = {k: (old.get(k, ABSENT), new.get(k, ABSENT)) for k in {**old, **new}}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def recipe_difference(before: str, now: str) -> str | None:
    """The difference of two resolved recipes' YAML; None if one of them is no recipe.

    It ignores ``training.data_on`` and ``training.check``, which files ``items`` names and which
    ``training.teacher``, as a recipe's fingerprint does.
    """
    try:
        both = [parse_yaml(text) for text in (before, now)]
    except ValueError:
        return None
    for recipe in both:
        if not (isinstance(recipe, dict) and isinstance(recipe.get("items"), dict)):
            return None
        for key in ITEM_FILES:
            recipe["items"].pop(key, None)
        if isinstance(recipe.get("training"), dict):
            for key in UNCOUNTED:
                recipe["training"].pop(key, None)
            if recipe["training"].get("teacher") is not None:
                recipe["training"]["teacher"] = "some"
    return difference(*both)


def flat(value: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, Any]]:
    """The settings in nested mappings, each with its dotted key."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from flat(inner, f"{under}{key}.")
        else:
            yield f"{under}{key}", inner
