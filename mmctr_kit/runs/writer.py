"""The one writer of run folders."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from mmctr_kit.errors import RunError
from mmctr_kit.files import made_folder, write_json, write_table, write_whole
from mmctr_kit.recipe.diff import differing_recipes
from mmctr_kit.runs.fold_folder import FoldFolder
from mmctr_kit.runs.manifest import KINDS, Manifest
from mmctr_kit.runs.predictions import Predictions, key_columns, logit_columns
from mmctr_kit.runs.run import Run


class RunWriter:
    """A run folder to write to; get one from :func:`begin_run`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fold(self, fold: int, seed: int) -> FoldFolder:
        return FoldFolder(self.path / "folds" / f"{fold}-{seed}")

    def write_json(self, name: str, content: Any) -> None:
        write_json(self.path / name, content)

    def finish(
        self, predictions: Predictions, metrics: Mapping[str, Any], timings: Mapping[str, Any]
    ) -> Run:
        """Write the predictions, the metrics and, last, DONE."""
        if predictions.oof is not None:
            oof = predictions.oof
            columns = key_columns(oof.keys)
            columns |= {"label": oof.label, "fold": oof.fold, "logit": oof.logit}
            write_table(self.path / "oof.parquet", columns)
        valid = key_columns(predictions.valid_keys) | {"label": predictions.valid_label}
        write_table(self.path / "valid.parquet", valid | logit_columns(predictions.valid))
        ids = {"ID": np.arange(len(predictions.test_keys))}
        test = ids | key_columns(predictions.test_keys)
        write_table(self.path / "test.parquet", test | logit_columns(predictions.test))
        write_json(self.path / "metrics.json", metrics)
        write_json(self.path / "timings.json", timings)
        write_whole(self.path / "DONE", lambda p: p.write_text("done\n"))
        return Run(self.path)


def begin_run(
    path: Path, manifest: Manifest, recipe_yaml: str | None, force: bool
) -> RunWriter | None:
    """Make the run folder, or go on with an unfinished one; None where it is finished already.

    Raises RunError where a run of that name is of something else, unless ``force``, which
    replaces it.
    """
    if is_finished(path, manifest, force, recipe_yaml):
        return None
    if path.exists() and not force:
        _require_environment(Run(path), manifest)
        return RunWriter(path)
    with made_folder(path, force) as folder:
        if recipe_yaml is not None:
            write_whole(folder / "recipe.yaml", lambda p: p.write_text(recipe_yaml))
        write_json(folder / "manifest.json", asdict(manifest))
    return RunWriter(path)


def is_finished(
    path: Path, manifest: Manifest, force: bool, recipe_yaml: str | None = None
) -> bool:
    """Whether the run that ``manifest`` describes is finished at ``path``; never with ``force``.

    Raises RunError where :func:`begin_run` would, naming what of the recipe differs where
    ``recipe_yaml`` is given; changes nothing.
    """
    if not _occupied(path):
        return False
    different = Run(path).manifest.differences(manifest)
    if force:
        return False
    if different:
        named = _differing(path, recipe_yaml) if "recipe" in different else None
        if named == "":
            named = "not its settings: another version of mmctr-kit"
        raise _taken(path, different, named)
    return Run(path).finished


def require_free(
    path: Path, known: Mapping[str, Any], force: bool, recipe_yaml: str | None = None
) -> None:
    """RunError where :func:`begin_run` would refuse whatever is not known yet: at ``path`` is no
    run, or one whose manifest has other values than ``known``, or other settings than
    ``recipe_yaml``. Without ``force``; reads no predictions."""
    if not _occupied(path) or force:
        return
    there = Run(path).manifest
    different = [part for part, value in known.items() if getattr(there, part) != value]
    named = _differing(path, recipe_yaml)
    if named:
        different.append("recipe")
    if different:
        raise _taken(path, different, named)


def _occupied(path: Path) -> bool:
    """Whether a run is there; RunError where something else is."""
    if path.exists() and not (path / "manifest.json").is_file():
        raise RunError(f"{path} exists and is no run folder; choose another --name")
    return path.exists()


def _taken(path: Path, different: Sequence[str], named: str | None) -> RunError:
    what = f"differs in {', '.join(different)}{f' ({named})' if named else ''}"
    if "kind" in different:  # and so in everything else
        what = f"is {KINDS[Run(path).manifest.kind]}"
    return RunError(
        f"run '{path.name}' exists but {what}; choose another --name, or --force to replace it"
    )


def _differing(path: Path, now: str | None) -> str | None:
    """The settings in which the run's recipe differs; None where it cannot be told."""
    try:
        before = Run(path).recipe_text
    except UnicodeDecodeError:
        return None
    return None if before is None or now is None else differing_recipes(before, now)


def _require_environment(old: Run, manifest: Manifest) -> None:
    before, now = old.manifest.environment, manifest.environment
    changed = [f"{k} {before[k]} -> {now[k]}" for k in now if before[k] != now[k]]
    if changed:
        raise RunError(
            f"run '{old.name}' was begun elsewhere ({', '.join(changed)}); finish it there, "
            "or --force to begin again"
        )
