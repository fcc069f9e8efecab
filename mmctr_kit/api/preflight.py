"""What is settled before anything trains: recipe, output path and data, mistakes first.

Mistakes that need neither data nor torch are refused within a second.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mmctr_kit.api.progress import Listener, ProgressEvent

if TYPE_CHECKING:
    from mmctr_kit.data.dataset import ChallengeData
    from mmctr_kit.items.features import ItemFeatures
    from mmctr_kit.recipe import Recipe

AnyPath = str | Path
Settings = Mapping[str, object] | Sequence[str]
"""Recipe keys to override: ``{"training.epochs": 3}`` or ``["training.epochs=3"]``."""


def as_recipe(recipe: "str | Path | Recipe", settings: Settings = ()) -> "Recipe":
    """The recipe that a name, a path or a Recipe means, with settings applied."""
    from mmctr_kit.recipe import Recipe, load_recipe
    from mmctr_kit.recipe.load import with_settings

    if isinstance(settings, Mapping):
        settings = [f"{key}={json.dumps(value, default=str)}" for key, value in settings.items()]
    if not isinstance(recipe, Recipe):
        return load_recipe(str(recipe), settings)
    return with_settings(recipe.model_dump(mode="json"), settings, recipe.name)


def output_path(
    runs: AnyPath, name: str, data: "str | Path | ChallengeData", device: str, suffix: str = ""
) -> Path:
    """Where the output of ``name`` goes: ``runs/NAME`` with ``suffix``, like ".study".

    Raises UsageError for an unfit name, a GPU that is certainly absent or a folder that is no
    data folder, DataError for a data folder that lacks needed files.
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
    """The loaded data: read from the folder unless it is loaded already."""
    from mmctr_kit.data.load import load

    if not isinstance(data, str | Path):
        return data
    listen(ProgressEvent("load", label=f"loading {data}"))
    return load(Path(data))


def load_to_train(data: "str | Path | ChallengeData", listen: Listener) -> "ChallengeData":
    """The loaded data, with a warning for whatever makes training on it vain."""
    from mmctr_kit.audit.sanity import training_warnings

    content = as_data(data, listen)
    for line in training_warnings(content):
        listen(ProgressEvent("warning", line))
    return content


def warn_of_missing(name: str, recipe: "Recipe", items: "ItemFeatures", listen: Listener) -> None:
    """Warn of modalities that the recipe asks for and the folder lacks."""
    for modality in items.missing:
        embedding = recipe.items.embedding
        text = f"{name}: {embedding} goes without {modality}, which the folder does not hold"
        listen(ProgressEvent("warning", text))
