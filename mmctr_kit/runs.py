"""Run folders: the only code that writes or reads them, with `foldfolder`. Design: section 5.

Every file is written under a temporary name and renamed; ``DONE`` comes last. What two equal runs
may differ in stands in files named ``timings.json`` and nowhere else.
"""

import fcntl
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.differing import differing_recipes
from mmctr_kit.errors import RunError, UsageError, did_you_mean, unwritable
from mmctr_kit.files import (
    made_folder,
    read_columns,
    read_json,
    write_json,
    write_table,
    write_whole,
)
from mmctr_kit.foldfolder import FoldFolder
from mmctr_kit.manifest import KINDS, Manifest
from mmctr_kit.predictions import (
    OutOfFold,
    Predictions,
    fold_logits,
    key_columns,
    keys_from,
    logit_columns,
)


class Run:
    """A run folder to read from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    @property
    def finished(self) -> bool:
        return (self.path / "DONE").is_file()

    @property
    def manifest(self) -> Manifest:
        path = self.path / "manifest.json"
        try:
            return Manifest.from_json(read_json(path))
        except TypeError as e:
            raise RunError(
                f"{path} is no manifest of this version of mmctr-kit; move its folder away"
            ) from e

    @property
    def metrics(self) -> dict[str, Any]:
        return read_json(self.path / "metrics.json")

    @property
    def timings(self) -> dict[str, Any]:
        return read_json(self.path / "timings.json")

    @property
    def source_places(self) -> dict[str, Path]:
        """Where a blend's runs lie, by name: beside it, unless it has noted another place."""
        path = self.path / "blend.json"
        noted = read_json(path).get("places", {}) if path.is_file() else {}
        return {n: self.path.parent / noted.get(n, n) for n in self.manifest.sources}

    @property
    def recipe_text(self) -> str | None:
        """The resolved recipe's YAML; None where it has none, as blends and imports."""
        path = self.path / "recipe.yaml"
        return path.read_text("utf-8") if path.is_file() else None

    def epochs(self) -> dict[str, list[dict[str, Any]]]:
        """Each fold model's epochs (``epoch``, ``train_loss``, ``holdout_auc``, ``best``, ...) by
        "fold-seed"; empty of a run that trained nothing."""
        found = sorted(self.path.glob("folds/*/metrics.jsonl"))
        return {
            p.parent.name: [json.loads(line) for line in p.read_text().splitlines()] for p in found
        }

    def predictions(self, with_oof: bool = True) -> Predictions:
        """The run's predictions, rows in canonical order whatever the files' order."""
        oof = None
        if with_oof and (self.path / "oof.parquet").is_file():
            table = self._table("oof")
            keys = keys_from(table)
            oof = OutOfFold(keys, table["label"], table["fold"], table["logit"])
        valid, test = self._table("valid"), self._table("test")
        return Predictions(
            oof=oof,
            valid_keys=keys_from(valid),
            valid_label=valid["label"],
            valid=fold_logits(valid),
            test_keys=keys_from(test),
            test=fold_logits(test),
        )

    def test_scores(self) -> NDArray[np.float64]:
        """(rows,) the fold mean's test logits in ID order, without reading the rest."""
        table = self._table("test")
        return np.asarray(table["logit"], np.float64)

    def _table(self, name: str) -> dict[str, NDArray[Any]]:
        columns = read_columns(self.path / f"{name}.parquet")
        order = np.argsort(columns["ID"]) if "ID" in columns else keys_from(columns).order()
        return {n: values[order] for n, values in columns.items()}


def open_run(name_or_path: str, root: Path) -> Run:
    """A finished run by name under ``root`` or by path.

    Raises UsageError where there is none, RunError where it is unfinished.
    """
    for path in (root / name_or_path, Path(name_or_path)):
        if (path / "manifest.json").is_file():
            run = Run(path.resolve())
            if not run.finished:
                raise RunError(
                    f"run '{run.name}' is unfinished; run the command that began it again"
                )
            return run
    known = [r.name for r in all_runs(root)]
    deeper, listed = _of_study(root, name_or_path), ", ".join(known) or "none"
    if deeper:
        raise UsageError(f"no run '{name_or_path}' under {root} itself, but {', '.join(deeper)}")
    hint = did_you_mean(name_or_path, known)
    raise UsageError(f"no run '{name_or_path}'{hint} under {root}; runs there: {listed}")


def _of_study(root: Path, name: str) -> list[str]:
    """The runs of a study or an ablation called ``name``, as :func:`open_run` takes them."""
    folders = (f"{name}.study/finalists", f"{name}.ablate")
    found = [r for folder in folders if (root / folder).is_dir() for r in all_runs(root / folder)]
    return [str(run.path.relative_to(root)) for run in found]


def run_path(root: Path, name: str, suffix: str = "") -> Path:
    """Where the run ``name`` lies, or what ends in ``suffix``; UsageError for no fit name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"--name {name!r}: expected letters, digits, dots, dashes, underscores")
    return root / f"{name}{suffix}"


def all_runs(root: Path) -> list[Run]:
    """Every run folder under ``root``, finished or not, by name."""
    found = sorted(root.glob("*/manifest.json"))
    return [Run(p.parent) for p in found if not p.parent.name.startswith(".")]


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


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the run for this process; RunError where another process is writing it."""
    folder = path.parent / ".locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        why = f"runs cannot be written to {path.parent} ({e.strerror}); choose another --runs"
        raise unwritable(why, e) from e
    with (folder / path.name).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise RunError(f"run '{path.name}' is being written by another process") from e
        yield


def _require_environment(old: Run, manifest: Manifest) -> None:
    before, now = old.manifest.environment, manifest.environment
    changed = [f"{k} {before[k]} -> {now[k]}" for k in now if before[k] != now[k]]
    if changed:
        raise RunError(
            f"run '{old.name}' was begun elsewhere ({', '.join(changed)}); finish it there, "
            "or --force to begin again"
        )
