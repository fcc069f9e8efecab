"""Write a bundle: a folder from which others can run a run again."""

import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mmctr_kit import __version__
from mmctr_kit.data.cache import content_hash
from mmctr_kit.data.contract import Task
from mmctr_kit.data.folds import WHOLE
from mmctr_kit.errors import RunError
from mmctr_kit.files import file_sha256, new_folder, save_arrays
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.models.registry import MODELS
from mmctr_kit.recipe import Recipe
from mmctr_kit.runs.predictions import Predictions
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.writer import RunWriter
from mmctr_kit.submission.bundle.distribution import (
    Licence,
    copy_package,
    licence_text,
    package_versions,
)
from mmctr_kit.submission.bundle.read import (
    CONTENT,
    FORMAT,
    ITEM_FILES,
    LOGITS,
    SUBMISSION,
    rendered,
)
from mmctr_kit.submission.bundle.readme import readme
from mmctr_kit.submission.verdicts import check_run
from mmctr_kit.submission.write import write_submission


def write_bundle(run: Run, out: Path, task: Task, licence: Licence, holder: str) -> None:
    """Write the bundle of a finished run to the new folder ``out``.

    ``holder`` is the copyright holder, whom README.md names, and LICENSE too if it is MIT. Raises
    RunError for a run that was not trained, or was trained with a teacher, another version, or an
    item file that has changed since, and UsageError if ``out`` exists.
    """
    recipe = _require_trained(run)
    item_files = _item_files(run, recipe)
    predictions = run.predictions(with_oof=False)
    year = datetime.now(tz=UTC).year
    with new_folder(out) as folder:
        copy_package(folder / "code")
        for key, file in item_files.items():
            shutil.copyfile(file, folder / ITEM_FILES[key])
        recipe = recipe.changed({f"items.{key}": ITEM_FILES[key] for key in item_files})
        (folder / "recipe.yaml").write_text(recipe.to_yaml(), "utf-8")
        (folder / "LICENSE").write_text(licence_text(licence, year, holder), "utf-8")
        logits = {"valid": predictions.valid, "test": predictions.test}
        save_arrays(folder / LOGITS, logits)
        ids = np.arange(len(predictions.test_keys))
        write_submission(folder / SUBMISSION, ids, {task: predictions.test_mean()})
        content = _content(run, recipe, predictions, task)
        content["models"] = _copy_weights(run, recipe, folder)
        (folder / "requirements.txt").write_text(_requirements(content["packages"]), "utf-8")
        rights = f"Copyright (c) {year} {holder}. Licence: {licence}, see LICENSE."
        page = readme(content, recipe, file_sha256(folder / SUBMISSION), rights)
        (folder / "README.md").write_text(page, "utf-8")
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        content["files"] = {name: file_sha256(folder / name) for name in files}
        (folder / CONTENT).write_bytes(rendered(content))


def _require_trained(run: Run) -> Recipe:
    """The run's recipe; RunError if the run could not be trained again from a bundle."""
    manifest = run.manifest
    if manifest.kind == "blend":
        raise RunError(
            f"run '{run.name}' is a blend, which has no weights; bundle each run behind it "
            f"({', '.join(manifest.sources)}), or train one network with 'mmctr-kit fit'"
        )
    if manifest.kind == "imported":
        raise RunError(
            f"run '{run.name}' is an import, which was not trained here; train a recipe with "
            "'mmctr-kit fit', and bundle that run"
        )
    if (trained := manifest.environment["mmctr_kit"]) != __version__:
        raise RunError(
            f"run '{run.name}' was trained with mmctr-kit {trained}, and this is {__version__}; "
            "bundle it with that version, or train it again"
        )
    recipe = run.recipe()
    if recipe.training.teacher is not None:
        raise RunError(
            f"run '{run.name}' learned from training.teacher ({recipe.training.teacher}), which "
            "would not be in the bundle, so nobody could train it again; train the recipe without "
            "training.teacher, and bundle that run"
        )
    return recipe


def _item_files(run: Run, recipe: Recipe) -> dict[str, Path]:
    """The files of items that the run was trained with, by the recipe's key."""
    files = {key: Path(file) for key, file in recipe.items.files.items()}
    for key, file in files.items():
        if not file.is_file() or content_hash(file) != _data_files(run).get(f"items.{key}"):
            state = "has changed since" if file.is_file() else "is gone"
            raise RunError(
                f"run '{run.name}' was trained with items.{key}={file}, which {state}; put the "
                "file back, or train the run again"
            )
    return files


def _data_files(run: Run) -> dict[str, str]:
    """The sha256 of each file that the run read; empty if an early version did not note them."""
    files: dict[str, str] = run.timings.get("data_files", {})
    return files


def _content(run: Run, recipe: Recipe, predictions: Predictions, task: Task) -> dict[str, Any]:
    """What bundle.json says, without the models and the files' hashes."""
    manifest, metrics = run.manifest, run.metrics
    environment = dict(manifest.environment)
    packages = package_versions(MODELS[recipe.model_name].target)
    # Those that the run was trained with, whatever is installed now.
    packages |= {name: environment[name] for name in ("torch", "numpy")}
    verdicts = check_run(run, run.path.parent)
    breaches = next(verdict.breaches for verdict in verdicts if verdict.task is task)
    names = ("valid", "fold_models_valid", "oof")
    scores = {name: Estimate.find(metrics, name) for name in names}
    return {
        "format": FORMAT,
        "run": run.name,
        "kind": manifest.kind,
        "seeds": list(manifest.seeds),
        "submission": {"task": task.value, "rows": len(predictions.test_keys)},
        "rules": {
            "broken": [breach.text for breach in breaches if breach.said],
            "unclear": [breach.text for breach in breaches if not breach.said],
        },
        "scores": {name: score.to_json() for name, score in scores.items() if score is not None},
        "data": {
            "rows": manifest.rows,
            "features": manifest.features,
            "files": _data_files(run),
        },
        "environment": environment,
        "packages": packages,
        "bundled_on": platform.platform(),
    }


def _copy_weights(run: Run, recipe: Recipe, folder: Path) -> dict[str, list[str]]:
    """Copy each model's weights; return their names in the bundle by fold, one a seed."""
    (folder / "weights").mkdir()
    models: dict[str, list[str]] = {}
    for fold in (WHOLE,) if run.manifest.kind == "fit" else range(recipe.folds.count):
        for seed in run.manifest.seeds:
            source = RunWriter(run.path).fold(fold, seed)
            name = f"weights/{source.path.name}.safetensors"
            if not (weights := source.weights_file()).is_file():
                raise RunError(f"run '{run.name}' lacks {weights}; train it again with --force")
            shutil.copyfile(weights, folder / name)
            models.setdefault("all" if fold == WHOLE else str(fold), []).append(name)
    return models


def _requirements(packages: dict[str, str]) -> str:
    about = """\
# The packages that mmctr-kit imports. torch and numpy: as in training. The others: as installed
# when this bundle was written. What these packages need in turn is not pinned.
"""
    # A local version, such as 2.13.0+cpu, is in no index; pip takes it for 2.13.0 if installed.
    return about + "".join(f"{name}=={v.partition('+')[0]}\n" for name, v in packages.items())
