"""Which settings two nested mappings differ in, for a line that refuses one for the other."""

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

MOST = 3
"""Settings named; of more, their number."""

_ABSENT = "absent"


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Like ``training.epochs: 5 there, 3 now``: by dotted name, at most `MOST`; empty for none."""
    old, new = dict(_flat(before)), dict(_flat(now))
    names = [k for k in {**old, **new} if old.get(k, _ABSENT) != new.get(k, _ABSENT)]
    told = [f"{k}: {old.get(k, _ABSENT)} there, {new.get(k, _ABSENT)} now" for k in names[:MOST]]
    if len(names) > MOST:
        told.append(f"and {len(names) - MOST} more")
    return "; ".join(told)


def differing_recipes(before: str, now: str) -> str | None:
    """The same of two resolved recipes' YAML, where neither an item file nor the rows count by
    where they lie, as Recipe.content() has it; None where one of them is damaged."""
    try:
        both = [yaml.safe_load(text) for text in (before, now)]
    except yaml.YAMLError:
        return None
    for recipe in both:
        if not (isinstance(recipe, dict) and isinstance(recipe.get("items"), dict)):
            return None
        recipe["items"].pop("file", None)
        if isinstance(recipe.get("training"), dict):
            recipe["training"].pop("data_on", None)
    return differing(*both)


def _flat(value: Mapping[str, Any], under: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{under}{key}.")
        else:
            yield f"{under}{key}", inner
