"""Where recipes lie: those that are shipped, by name, and files of one's own."""

from collections.abc import Iterator
from pathlib import Path

from mmctr_kit.errors import UsageError, did_you_mean


def recipe_folder() -> Path:
    """Where the shipped recipes lie: inside the wheel, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "shipped_recipes"
    return inside if inside.is_dir() else package.parent / "recipes"


def shipped_recipes() -> Iterator[Path]:
    """The shipped recipe files, sorted by path, however deep."""
    yield from sorted(recipe_folder().rglob("*.yaml"))


def find_recipe(name_or_path: str) -> Path:
    """A recipe file from a path or a shipped name."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        if not path.is_file():
            raise UsageError(f"no recipe file at '{name_or_path}'")
        return path
    shipped = {p.stem: p for p in shipped_recipes()}
    if name_or_path not in shipped:
        hint = did_you_mean(name_or_path, shipped)
        raise UsageError(f"no recipe '{name_or_path}'{hint}; shipped: {', '.join(shipped)}")
    return shipped[name_or_path]
