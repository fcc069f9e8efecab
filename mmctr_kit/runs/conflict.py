"""Whether a run or study may be written to a folder: it is free, or holds the same thing."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmctr_kit.errors import MmctrKitError, RunError
from mmctr_kit.recipe.diff import MOST, recipe_difference
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


@dataclass(frozen=True)
class DataNow:
    """The data that a run would read now: their folder, and ``hashes`` of the files, when asked."""

    folder: Path
    hashes: Callable[[], Mapping[str, str]]


def is_finished(
    path: Path,
    manifest: Manifest,
    force: bool,
    recipe_yaml: str | None = None,
    data: DataNow | None = None,
) -> bool:
    """Whether the run that ``manifest`` describes is finished at ``path``; never with ``force``.

    Raises RunError if another run is there, naming the recipe keys that differ if ``recipe_yaml``
    is given, and the files if ``data`` are.
    """
    known = {k: v for k, v in vars(manifest).items() if k != "environment"}
    return require_free(path, known, force, recipe_yaml, data)


def require_free(
    path: Path,
    known: Mapping[str, Any],
    force: bool,
    recipe_yaml: str | None = None,
    data: DataNow | None = None,
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
    if "kind" in different:  # and so in everything else
        raise taken(path, "run", f"is {KINDS[manifest.kind]}")
    keys = None
    if "recipe" not in known or "recipe" in different:
        keys = _different_keys(run, recipe_yaml)
    if different or ("recipe" not in known and keys):
        causes = _causes(run, known, different, keys, data)
        raise taken(
            path, "run", f"differs in {', '.join(causes or [_rest(run, recipe_yaml, keys)])}"
        )
    return run.finished


def _causes(
    run: Run,
    known: Mapping[str, Any],
    different: Collection[str],
    keys: str | None,
    data: DataNow | None,
) -> list[str]:
    """What differs, in words; what follows from something else is left out."""
    causes, manifest, blend = [], run.manifest, run.manifest.kind == "blend"
    if "sources" in different:
        causes.append(f"the runs it blends ({_two(manifest.sources, known['sources'])})")
    if keys:
        causes.append(f"recipe ({keys})")
    elif "seeds" in different:
        causes.append(f"seeds ({_two(manifest.seeds, known['seeds'])})")
    if "rows" in different:
        causes.append(_with_files("rows", run, data))
    elif "features" in different and blend and "sources" not in different:
        causes.append("the item features of the runs it blends")
    elif "features" in different and not blend:
        cause = _with_files("item features", run, data)
        if not keys or "(" in cause:  # without a named file they follow from the recipe
            causes.append(cause)
    if "folds" in different and not causes:
        causes.append("folds")
    return causes


def _two(before: Sequence[object], now: Sequence[object]) -> str:
    there, here = (", ".join(map(str, each)) or "none" for each in (before, now))
    return f"{there} there; {here} now"


def _with_files(what: str, run: Run, data: DataNow | None) -> str:
    """Which folder or which files differ, as far as the run recorded them."""
    if data is None:
        return what
    with suppress(MmctrKitError):  # of an earlier version, or damaged: then nothing is known
        before, hashes = run.timings.get("data_files", {}), data.hashes()
        changed = [n for n in {**before, **hashes} if before.get(n) != hashes.get(n)]
        lineage = run.lineage
        there, here = lineage and lineage.data, str(data.folder.resolve())
        folder = f"data folder {there} there, {here} now" if there and there != here else ""
        more = f" and {len(changed) - MOST} more" if len(changed) > MOST else ""
        names = ", ".join(changed[:MOST]) + more
        files = f"other content of {names}" if before and changed else ""
        known = [each for each in (folder, files) if each]
        return f"{what} ({'; '.join(known)})" if known else what
    return what


def _rest(run: Run, recipe_yaml: str | None, keys: str | None) -> str:
    """What may differ if neither settings nor data do."""
    if run.manifest.kind == "blend":
        return "its method, its options, or the predictions of its runs"
    if run.manifest.kind == "imported":
        return "its predictions"
    if keys is None:
        return "recipe"
    taught = re.search(r"^  teacher: (?!null)", recipe_yaml or "", re.MULTILINE)
    or_else = ", or what its training.teacher predicts" if taught else ""
    return f"recipe (not its settings: another version of mmctr-kit{or_else})"


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
