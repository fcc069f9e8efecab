"""Whether a run or study may be written to a folder: it is free, or holds the same thing."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmctr_kit.errors import RunError
from mmctr_kit.recipe.diff import recipe_difference
from mmctr_kit.runs.manifest import KINDS, Manifest
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.seal import marked


def occupied(path: Path, mark: str, what: str) -> bool:
    """Whether ``what`` is at ``path``; RunError if something without the file ``mark`` is."""
    if path.exists() and not marked(path, mark):
        raise RunError(f"{path} exists and is no {what}; choose another --name")
    return path.exists()


class NameTakenError(RunError):
    """Another run has the name."""


def taken(path: Path, what: str, difference: str) -> NameTakenError:
    """The error that ``what`` at ``path`` is another than the one to be written."""
    return NameTakenError(
        f"{what} '{path.name}' exists but {difference}; choose another --name, or --force to "
        "replace it"
    )


def is_finished(
    path: Path, manifest: Manifest, force: bool, recipe_yaml: str | None = None
) -> bool:
    """Whether the run that ``manifest`` describes is finished at ``path``; never with ``force``.

    Raises RunError if another run is there, naming the recipe keys that differ if ``recipe_yaml``
    is given.
    """
    known = {k: v for k, v in vars(manifest).items() if k != "environment"}
    return require_free(path, known, force, recipe_yaml)


def require_free(
    path: Path, known: Mapping[str, Any], force: bool, recipe_yaml: str | None = None
) -> bool:
    """Whether the run is finished, judged by the ``known`` parts of its manifest alone."""
    if not occupied(path, "manifest.json", "run folder"):
        return False
    run = Run(path)
    if force and run.finished and run.has("manifest.json"):
        return False  # it was a run, whatever became of its files
    manifest = run.manifest
    different = [part for part, value in known.items() if getattr(manifest, part) != value]
    if force:
        return False
    keys = None
    if "recipe" not in known or "recipe" in different:
        keys = _different_keys(run, recipe_yaml)
    if "recipe" not in known and keys:
        different.append("recipe")
    if keys == "":
        taught = re.search(r"^  teacher: (?!null)", recipe_yaml or "", re.MULTILINE)
        keys = "not its settings: another version of mmctr-kit"
        keys += ", or what its training.teacher predicts" if taught else ""
    if "kind" in different:  # and so in everything else
        raise taken(path, "run", f"is {KINDS[manifest.kind]}")
    if different:
        difference = f"differs in {', '.join(different)}"
        raise taken(path, "run", f"{difference} ({keys})" if keys else difference)
    return run.finished


def changed_environment(run: Run, manifest: Manifest) -> list[str]:
    """What differs between the environment an unfinished run was begun in and ``manifest``'s.

    Nothing for a finished run, since nothing is trained any more.
    """
    if run.finished:
        return []
    before, now = run.manifest.environment, manifest.environment
    return [f"{k} {before.get(k)} -> {now[k]}" for k in now if before.get(k) != now[k]]


def _different_keys(run: Run, now: str | None) -> str | None:
    """The recipe keys that differ; None if a recipe is missing or unreadable."""
    try:
        before = run.recipe_text
    except UnicodeDecodeError:
        return None
    return None if before is None or now is None else recipe_difference(before, now)
