"""Find and read a recipe, a shipped name or a YAML file, with --set values applied."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmctr_kit.errors import UsageError, did_you_mean
from mmctr_kit.recipe.schema import Recipe, parse_recipe
from mmctr_kit.yaml_files import apply_setting, read_yaml

_LOG = logging.getLogger(__name__)


def recipe_folder() -> Path:
    """The folder of the shipped recipes: inside the wheel, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "shipped_recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def shipped_recipes() -> Iterator[Path]:
    """The shipped recipe files, also of subfolders, sorted by path."""
    yield from sorted(recipe_folder().rglob("*.yaml"))


def find_recipe(name_or_path: str) -> Path:
    """The recipe file of a path or a shipped name."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            hint = did_you_mean(path.name, [p.name for p in path.parent.glob("*.y*ml")])
            listed = "'mmctr-kit recipes' lists the shipped ones"
            raise UsageError(f"no recipe file at '{name_or_path}'{hint}; {listed}")
        return path
    shipped = {p.stem: p for p in shipped_recipes()}
    if name_or_path not in shipped:
        hint = did_you_mean(name_or_path, shipped)
        raise UsageError(f"no recipe '{name_or_path}'{hint}; shipped: {', '.join(shipped)}")
    return shipped[name_or_path]


def load_recipe(name_or_path: str, settings: Sequence[str] = ()) -> Recipe:
    """The recipe ``name_or_path`` (a shipped name or a file) with ``settings`` ('a.b=v') applied.

    Raises UsageError, in one line, for a missing file, broken YAML, an unknown or unused key, or a
    bad value.
    """
    path = find_recipe(name_or_path)
    _LOG.debug("recipe: %s %s", path, " ".join(f"--set {setting}" for setting in settings))
    content = read_yaml(path, "recipe")
    return with_settings(content, settings, str(path))


def with_settings(content: dict[str, Any], settings: Sequence[str], source: str) -> Recipe:
    """The recipe of ``content`` with ``settings`` applied; an error names its ``source``."""
    changed = [key for setting in settings for key in apply_setting(content, setting)]
    shown = f" with --set {' '.join(settings)}" if settings else ""
    return parse_recipe(content, f"{source}{shown}", changed)
