"""Settle recipe, output path and data before anything trains.

Mistakes that need neither data nor torch are refused within a second.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mmctr_kit.api.progress import Listener, ProgressEvent
from mmctr_kit.errors import DataError, UsageError

if TYPE_CHECKING:
    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.items.features import ItemFeatures
    from mmctr_kit.recipe import Recipe

T = TypeVar("T")

AnyPath = str | Path
Settings = Mapping[str, object] | Sequence[str]
"""Recipe keys to override: ``{"training.epochs": 3}`` or ``["training.epochs=3"]``."""


def with_first(first: Mapping[str, object], set: Settings) -> Settings:
    """Settings that begin with ``first``, which those of ``set`` may override."""
    if isinstance(set, Mapping):
        return {**first, **set}
    return [*(f"{key}={value}" for key, value in first.items()), *set]


def load_recipe(recipe: "str | Path | Recipe", set: Settings = ()) -> "Recipe":
    """Load a recipe and override some of its keys.

    Parameters
    ----------
    recipe : str, Path or Recipe
        A shipped name such as ``"din_official"``, a YAML file, or a recipe already loaded.
    set : mapping or list of str
        Keys to override: ``{"training.epochs": 3}`` or ``["training.epochs=3"]``.

    Returns
    -------
    Recipe
        The whole run as typed, immutable blocks.

    Raises
    ------
    UsageError
        For an unknown recipe, an unknown key or a value that a key does not take.
    RunError
        If the file is in the folder of a run or a study, and was changed since that was finished.

    Examples
    --------
    >>> recipe = mmctr_kit.load_recipe("din_demo", set={"training.epochs": 1, "folds.count": 2})
    >>> recipe.training.epochs, recipe.folds.count
    (1, 2)
    """
    from mmctr_kit.recipe import Recipe, load
    from mmctr_kit.recipe.load import with_settings
    from mmctr_kit.runs.seal import require_as_sealed

    if not isinstance(recipe, Recipe):
        require_as_sealed(Path(recipe))
        return load.load_recipe(str(recipe), as_lines(set))
    return with_settings(recipe.model_dump(mode="json"), as_lines(set), recipe.name)


def as_lines(set: Settings) -> Sequence[str]:
    """Settings as the command line takes them, ``KEY=VALUE``; UsageError for a single text."""
    if isinstance(set, str):
        raise UsageError(f"set: expected a mapping or a list of str, found the str {set!r}")
    if isinstance(set, Mapping):
        dump = json.JSONEncoder(default=str, ensure_ascii=False).encode
        return [f"{key}={dump(value)}" for key, value in set.items()]
    return set


def require_count(**counts: float | None) -> None:
    """Raise UsageError for a number of jobs, trials, ... that is no whole number from 1 on."""
    for name, count in counts.items():
        if count is not None and (not isinstance(count, int) or count < 1):
            raise UsageError(f"{name}: expected a whole number from 1 on, found {count!r}")


def names_of(names: Sequence[T], option: str) -> Sequence[T]:
    """The list of names; UsageError for a single one, whose letters would be taken as names."""
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise UsageError(f"{option}: expected a list, found {names!r}; put it into brackets")
    return names


def output_path(
    runs: AnyPath, name: str, data: "str | Path | ChallengeData", device: str, suffix: str = ""
) -> Path:
    """Return ``runs/NAME`` with ``suffix``, like ".study".

    Raises UsageError for a bad name, a GPU that is certainly absent or a wrong data folder,
    DataError for a data folder that lacks needed files.
    """
    from mmctr_kit.data.parquet import require_folder
    from mmctr_kit.runs.run import run_path
    from mmctr_kit.training.gpu_probe import require_gpu

    path = run_path(Path(runs), name, suffix)
    require_gpu(device)
    if isinstance(data, str | Path):
        require_folder(Path(data))
    return path


def as_data(data: "str | Path | ChallengeData", listen: Listener) -> "ChallengeData":
    """Load the data folder, unless the data is loaded already."""
    from mmctr_kit.data.load import load

    if data is None:
        raise UsageError("data: expected a folder or ChallengeData, found None")
    if not isinstance(data, str | Path):
        return data
    listen(ProgressEvent("load", label=f"loading {data}"))
    return load(Path(data))


def load_to_train(
    data: "str | Path | ChallengeData",
    listen: Listener,
    recipes: "Iterable[Recipe]" = (),
    strict: bool = False,
) -> "ChallengeData":
    """Load the data, with warnings of what makes training on it useless.

    ``recipes`` are those to cross-validate; if ``strict``, folds that do not suit the data are a
    DataError.
    """
    from mmctr_kit.audit.sanity import fold_warning, training_warnings

    content = as_data(data, listen)
    of_folds = {w for recipe in recipes if (w := fold_warning(content, recipe.folds.by))}
    if strict and of_folds:
        raise DataError(of_folds.pop())
    for line in (*training_warnings(content), *of_folds):
        listen(ProgressEvent("warning", line))
    return content


def warn_of_missing(name: str, recipe: "Recipe", items: "ItemFeatures", listen: Listener) -> None:
    """Warn of modalities that the recipe asks for and the folder lacks."""
    for modality in items.missing:
        text = f"{name}: {recipe.items.embedding} lacks {modality}: it is not in the data folder"
        listen(ProgressEvent("warning", text))
