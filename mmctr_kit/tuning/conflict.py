"""Checks whether a study may be written to a folder, without Optuna and mostly without data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmctr_kit import __version__
from mmctr_kit.errors import RunError
from mmctr_kit.files import read_json
from mmctr_kit.recipe import Recipe
from mmctr_kit.recipe.diff import difference
from mmctr_kit.recipe.search import Range
from mmctr_kit.recipe.space import search_of
from mmctr_kit.recipe.unused import selectors
from mmctr_kit.runs import conflict
from mmctr_kit.runs.seal import sealed_file
from mmctr_kit.tuning.heartbeat import alive_workers

SETTINGS = "settings.json"
STORAGE = "storage"
"""The setting that names the database with the study's trials; absent if a journal has them."""
_JOURNAL = "its journal"


def require_study(path: Path, recipe: Recipe, force: bool, place: str | None = None) -> None:
    """Raise RunError if ``path`` can take no study of the recipe, whatever its data are.

    It holds a study of other settings, or with its trials elsewhere than in the database ``place``
    (None: in its journal), or something else, or with ``force`` a study at work.
    """
    if not occupied(path, force) or force:
        return
    settings = _foreseen(recipe, read_json(sealed_file(path, SETTINGS)))
    require_same(path, settings if place is None else {**settings, STORAGE: place})


def require_study_there(
    path: Path, place: str, stored: Mapping[str, Any] | None, recipe: Recipe
) -> None:
    """Raise RunError if the database ``place`` holds, by the name of ``path``, another study.

    ``stored`` are its settings; None if there is none.
    """
    if stored is not None:
        require_same_there(path, place, stored, _foreseen(recipe, stored))


def _foreseen(recipe: Recipe, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a study of the recipe that are known without data; the others as stored."""
    search = search_of(recipe)
    # The data may shorten or remove the other entries.
    fixed = {key: values for key, values in search.items() if _is_fixed(key, values, recipe)}
    now = stored["search"] | {key: values.as_plain() for key, values in fixed.items()}
    now = {key: values for key, values in now.items() if key in search}
    return {"recipe": recipe.content(), "search": now, "version": __version__}


def occupied(path: Path, force: bool) -> bool:
    """Whether a study is at ``path``; RunError if it is not one, or with ``force`` is at work."""
    if not conflict.occupied(path, SETTINGS, "study"):
        return False
    if force and alive_workers(path / "leases"):
        raise RunError(f"study '{path.name}' is at work; stop it before --force")
    return True


def require_same(path: Path, settings: Mapping[str, Any]) -> None:
    """Raise RunError if the study at ``path`` has other values for any of these settings.

    Settings without a storage are those of a study whose trials are in its journal.
    """
    stored = read_json(sealed_file(path, SETTINGS))
    there, now = (x.get(STORAGE, _JOURNAL) for x in (stored, settings))
    if there != now:
        advice = "leave out --storage" if there == _JOURNAL else "give --storage as before"
        raise RunError(
            f"study '{path.name}' has its trials in {there}, not in {now}; {advice}, or choose "
            "another --name"
        )
    if different := _differing(stored, settings):
        raise conflict.taken(path, "study", different)


def require_same_there(
    path: Path, place: str, stored: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Raise RunError if the study that the database ``place`` holds by that name is another one.

    It may be somebody else's, so the way out is another name.
    """
    if different := _differing(stored, settings):
        name = path.name.removesuffix(".study")
        raise RunError(f"study '{name}' exists in {place} but {different}; choose another --name")


def _differing(stored: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    # The data's fingerprint holds the version too, so a study without the latter is of this one.
    before = {"version": settings.get("version"), **stored}
    different = [k for k in settings if k not in before or before[k] != settings[k]]
    if not different:
        return ""
    # Name the cause alone: another version or recipe changes the data's fingerprint too, and
    # another recipe may change the search around it.
    part = next(k for k in ("version", "recipe", "search", "data") if k in different)
    return f"differs in {part}{_named(part, before.get(part), settings[part])}"


def _named(part: str, before: Any, now: Any) -> str:
    if part == "version":
        return f" ({before} there, {now} now)"
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        return f" ({difference(before, now)})"
    return ""  # a fingerprint tells nobody anything


def _is_fixed(key: str, values: Range, recipe: Recipe) -> bool:
    """Whether no data change the entry.

    Neither it nor a key that it depends on is about item vectors, and it has no condition.
    """
    keys = {key, *selectors(key, recipe.rules)}
    return not values.when and not any(k.startswith("items.") for k in keys)
