"""The settings file: values of options that hold for every command in a folder.

``mmctr-kit.toml`` in the current folder, or the file that ``MMCTR_KIT_SETTINGS`` names. An option
on the command line comes before an environment variable, that before the file, and that before the
default. A recipe says what is trained; this file says where.
"""

import os
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mmctr_kit.errors import UsageError, did_you_mean

NAME = "mmctr-kit.toml"

_PATHS = ("runs", "data", "cache")
_OPTIONS: Mapping[str, tuple[str, type]] = {
    "runs": ("runs", str),
    "data": ("data", str),
    "device": ("devices", str),
    "jobs": ("jobs", int),
    "threads": ("threads", int),
    "executor": ("executor", str),
}
"""What the file may set of the options, with the parameter that has it, and its type."""
_TABLES = ("ray", "slurm")
_FOLDER = "folder"
"""The parameter of a command whose argument is the data folder."""


@cache
def settings_file() -> Mapping[str, Any]:
    """What the file holds; empty if there is none.

    Raises UsageError for a file that is not TOML, an unknown key and a value of another type.
    """
    named = os.environ.get("MMCTR_KIT_SETTINGS")
    path = Path(named or NAME)
    if not path.is_file():
        if named:
            raise UsageError(f"no file at '{path}' (MMCTR_KIT_SETTINGS)")
        return {}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        raise UsageError(f"{path} is not readable as TOML ({e}); mend it or move it away") from e
    known = [*_OPTIONS, "cache", *_TABLES]
    for key, value in content.items():
        if key not in known:
            raise UsageError(f"{path}: no such setting '{key}'{did_you_mean(key, known)}")
        kind = dict if key in _TABLES else _OPTIONS.get(key, ("", str))[1]
        if not isinstance(value, kind) or isinstance(value, bool):
            expected = {str: "a text", int: "a whole number", dict: f"a table [{key}]"}[kind]
            raise UsageError(f"{path}: {key}: expected {expected}, found {value!r}")
    if named:  # from another folder: its paths are beside it
        for key in set(_PATHS) & set(content):
            content[key] = str(path.parent / content[key])
    return content


def option_defaults() -> dict[str, Any]:
    """The values of options and arguments that the file sets, by their parameter."""
    content = settings_file()
    values = {name: content[key] for key, (name, _) in _OPTIONS.items() if key in content}
    return values | ({_FOLDER: values["data"]} if "data" in values else {})


def key_of(parameter: str) -> str:
    """The file's key for a parameter of a command; empty if there is none."""
    keys = {name: key for key, (name, _) in _OPTIONS.items()} | {_FOLDER: "data"}
    return keys.get(parameter, "")


def executor_table(name: str) -> Mapping[str, Any]:
    """The settings of an executor, from the file's table of that name."""
    table: Mapping[str, Any] = settings_file().get(name, {})
    return table


def use_cache() -> None:
    """Use the cache folder that the file names, unless the environment names one."""
    if "cache" in settings_file():
        os.environ.setdefault("MMCTR_KIT_CACHE", settings_file()["cache"])
