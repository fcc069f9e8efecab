"""Whether a study's name is free: told without optuna, and as far as may be without the data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmctr_kit import __version__
from mmctr_kit.errors import RunError
from mmctr_kit.files import read_json
from mmctr_kit.recipe import Recipe
from mmctr_kit.recipe.diff import differing
from mmctr_kit.recipe.search import Range
from mmctr_kit.recipe.space import search_of
from mmctr_kit.recipe.unused import selectors
from mmctr_kit.tune.heartbeat import living

SETTINGS = "settings.json"


def require_study(path: Path, recipe: Recipe, force: bool) -> None:
    """RunError where a study of the recipe would be refused at ``path`` whatever its data are: one
    of something else is there, or with ``force`` one that is at work."""
    if not occupied(path, force) or force:
        return
    search = search_of(recipe)
    stored = read_json(path / SETTINGS)["search"]
    # The data may take from the other entries, or have taken them out.
    kept = {k: values for k, values in search.items() if _whatever_the_data(k, values, recipe)}
    now = stored | {key: values.as_plain() for key, values in kept.items()}
    now = {key: values for key, values in now.items() if key in search}
    require_same(path, {"recipe": recipe.resolved(), "search": now, "version": __version__})


def occupied(path: Path, force: bool) -> bool:
    """Whether a study is there; RunError where something else is, or with ``force`` one that is at
    work."""
    if not path.exists():
        return False
    if not (path / SETTINGS).is_file():
        raise RunError(f"{path} exists and is no study; choose another --name")
    if force and living(path / "leases"):
        raise RunError(f"study '{path.name}' is at work; stop it before --force")
    return True


def require_same(path: Path, settings: Mapping[str, Any]) -> None:
    """RunError where the study at ``path`` is of other settings than these, as far as they go."""
    # The data's fingerprint holds the version too, so a study without the latter is of this one.
    before = {"version": settings.get("version"), **read_json(path / SETTINGS)}
    different = [k for k in settings if k not in before or before[k] != settings[k]]
    if not different:
        return
    # What follows from another difference is none of its own: of another version, or recipe, the
    # data's fingerprint is another one, and of another recipe so may be the search around it.
    part = next(k for k in ("version", "recipe", "search", "data") if k in different)
    named = _named(part, before.get(part), settings[part])
    raise RunError(
        f"study '{path.name}' exists but differs in {part}{named}; choose another --name, or "
        "--force to replace it"
    )


def _named(part: str, before: Any, now: Any) -> str:
    if part == "version":
        return f" ({before} there, {now} now)"
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return f" ({differing(before, now)})"
    return ""  # a fingerprint tells nobody anything


def _whatever_the_data(key: str, values: Range, recipe: Recipe) -> bool:
    """Whether the entry stays as it is on any data: neither it nor what it depends on is of item
    vectors, and it has no condition."""
    keys = {key, *selectors(key, recipe.rules)}
    return not values.when and not any(k.startswith("items.") for k in keys)
