"""Reads YAML files of settings, and puts ``KEY=VALUE`` settings into them."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from mmctr_kit.errors import UsageError


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The keys of the YAML file ``path``, a ``what``; a UsageError if it holds something else."""
    try:
        content = parse_yaml(path.read_text("utf-8"))
    except (ValueError, OSError) as e:
        raise UsageError(f"{path}: not readable YAML ({' '.join(str(e).split())})") from e
    if not isinstance(content, dict):
        kind = "nothing" if content is None else type(content).__name__
        raise UsageError(f"{path}: expected a mapping of {what} keys, found {kind}")
    return content


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; ValueError if it is none, or gives a key twice.

    YAML itself would silently use the last of two keys, and take 1e-5, a number without a point,
    as text.
    """
    import yaml

    try:
        return yaml.load(text, _yaml_loader())
    except yaml.YAMLError as e:
        raise ValueError(" ".join(str(e).split())) from e


def apply_setting(content: dict[str, Any], setting: str) -> list[str]:
    """Put the value of ``setting`` ('a.b=v') into the blocks of ``content``.

    Returns the dotted keys that it gives: if the value is a block, its keys are among them. Raises
    UsageError for a setting that cannot be read.
    """
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {setting}: expected KEY=VALUE, such as training.epochs=3")
    *parents, last = key.strip().split(".")
    block = content
    for parent in parents:
        block = block.setdefault(parent, {})
        if not isinstance(block, dict):
            kind = "nothing" if block is None else type(block).__name__
            raise UsageError(f"--set {setting}: {parent} is {kind}, not a block of keys")
    try:
        block[last] = parse_yaml(value)
    except ValueError as e:
        raise UsageError(f"--set {setting}: {e}") from e
    inner = block[last] if isinstance(block[last], dict) else {}
    return [key.strip(), *(f"{key.strip()}.{name}" for name in inner)]


@cache
def _yaml_loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            twice = [key for i, key in enumerate(keys) if key in keys[:i]]
            if twice:
                line = node.start_mark.line + 1
                raise yaml.YAMLError(
                    f"key {twice[0]} twice in the block that begins in line {line}"
                )
            return super().construct_mapping(node, deep)

    number = re.compile(r"^[-+]?[0-9]+[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    return Loader
