"""Read a recipe: a shipped name or a YAML file, with --set values applied."""

from collections.abc import Sequence
from typing import Any

import yaml

from mmctr_kit.errors import UsageError
from mmctr_kit.recipe.schema import Recipe, parse_recipe
from mmctr_kit.recipe.settings import drop_idle
from mmctr_kit.recipe.shipped import find_recipe


def load_recipe(name_or_path: str, settings: Sequence[str] = ()) -> Recipe:
    """The recipe ``name_or_path`` (a shipped name or a file) with ``settings`` ('a.b=v') applied.

    Raises UsageError, one line, for a missing file, broken YAML, an unknown key or a bad value.
    """
    path = find_recipe(name_or_path)
    try:
        content = yaml.load(path.read_text("utf-8"), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as e:
        raise UsageError(f"{path}: not readable YAML ({_first_line(e)})") from e
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected a mapping of recipe keys, found {_kind(content)}")
    for setting in settings:
        _apply(content, setting)
    drop_idle(content, [setting.partition("=")[0].strip() for setting in settings])
    changed = f" with --set {' '.join(settings)}" if settings else ""
    return parse_recipe(content, f"{path}{changed}")


def _apply(content: dict[str, Any], setting: str) -> None:
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {setting}: expected KEY=VALUE, such as training.epochs=3")
    *parents, last = key.strip().split(".")
    place = content
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise UsageError(f"--set {setting}: {parent} is {_kind(place)}, not a block of keys")
    try:
        place[last] = yaml.load(value, _Loader)
    except yaml.YAMLError as e:
        raise UsageError(f"--set {setting}: {_first_line(e)}") from e


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key given twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = [key for i, key in enumerate(keys) if key in keys[:i]]
        if twice:
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"key {twice[0]} twice in the block that begins in line {line}")
        return super().construct_mapping(node, deep)


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__
