"""Read a bundle, and check that each of its files is as it was written."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from mmctr_kit.errors import DataError, UsageError, plural
from mmctr_kit.files import load_arrays
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe, parse_recipe

FORMAT = 1
CONTENT, ITEMS, LOGITS, SUBMISSION = (
    "bundle.json",
    "items.parquet",
    "logits.safetensors",
    "submission.zip",
)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are as they were written.

    ``content`` is what bundle.json says, without its own digest. ``extra`` names files that the
    bundle was written without.
    """

    path: Path
    content: Mapping[str, Any]
    extra: tuple[str, ...] = ()

    @property
    def run(self) -> str:
        """The name of the run."""
        return str(self.content["run"])

    @property
    def task(self) -> str:
        """The column of the submission."""
        return str(self.content["submission"]["task"])

    @property
    def rows(self) -> int:
        """How many test rows the submission has."""
        return int(self.content["submission"]["rows"])

    @property
    def sha256(self) -> str:
        """The sha256 of submission.zip."""
        return str(self.content["files"][SUBMISSION])

    @property
    def models(self) -> Mapping[str, list[str]]:
        """The weights files of each fold, one a seed; the fold ``all`` is the whole train split."""
        return dict(self.content["models"])

    @property
    def threads(self) -> int | None:
        """The threads of the run's process; None if it was trained on a GPU."""
        threads: int | None = self.content["environment"]["threads"]
        return threads

    @property
    def valid_auc(self) -> Estimate:
        """The run's AUC on the valid split, as bundle.json has it."""
        return Estimate.from_json(self.content["scores"]["valid"])

    def recipe(self) -> Recipe:
        """The run's recipe, reading the bundle's item file if the run had one of its own."""
        text = (self.path / "recipe.yaml").read_text("utf-8")
        recipe = parse_recipe(yaml.safe_load(text), f"the recipe of {self.path}")
        own = self.path / ITEMS
        return recipe.changed({"items.file": str(own.resolve())}) if own.is_file() else recipe

    def logits(self) -> dict[str, NDArray[np.float64]]:
        """``valid`` and ``test`` (folds, rows) float64, as in the run."""
        return load_arrays(self.path / LOGITS)

    def __str__(self) -> str:
        many = sum(map(len, self.models.values()))
        return (
            f"{self.path}: {self.run}, {plural(many, 'model')}, {self.rows:,} rows of {self.task}"
        )


def open_bundle(path: Path) -> Bundle:
    """The bundle in a folder, each of whose files has the sha256 that bundle.json gives.

    Raises UsageError if there is no bundle, and DataError that names every file that is missing or
    was changed, bundle.json itself included.
    """
    file = path / CONTENT
    if not file.is_file():
        raise UsageError(
            f"no bundle at '{path}': it has no {CONTENT}; expected a folder that 'mmctr-kit "
            "bundle' wrote"
        )
    written = file.read_bytes()
    try:
        content = dict(json.loads(written))
        del content["digest"]
        intact = rendered(content) == written
    except (ValueError, TypeError, KeyError):
        intact = False
    if not intact:
        raise DataError(f"damaged bundle '{path}': changed: {CONTENT}; {_AGAIN}")
    if content["format"] != FORMAT:
        kit = content["environment"]["mmctr_kit"]
        raise DataError(
            f"{path} is of bundle format {content['format']}, expected {FORMAT}; reproduce it with "
            f"mmctr-kit {kit}"
        )
    files: Mapping[str, str] = content["files"]
    missing = [name for name in files if not (path / name).is_file()]
    changed = [n for n in files if n not in missing and file_sha256(path / n) != files[n]]
    parts = {"changed": changed, "missing": missing}
    if faults := [f"{what}: {', '.join(names)}" for what, names in parts.items() if names]:
        raise DataError(f"damaged bundle '{path}': {'; '.join(faults)}; {_AGAIN}")
    return Bundle(path, content, _extra(path, files))


_AGAIN = "copy the bundle again from its source"


def _extra(path: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    """Files and, as one, folders that the bundle was written without; hidden ones do not count."""
    folders = {Path(name).parts[0] for name in files if "/" in name}
    present = [p for p in path.iterdir() if p.name not in folders]
    present += [p for name in folders for p in (path / name).iterdir()]
    names = {p.relative_to(path).as_posix() for p in present if not p.name.startswith(".")}
    return tuple(sorted(names - files.keys() - {CONTENT}))


def rendered(content: Mapping[str, Any]) -> bytes:
    """The bytes of bundle.json: the content, and a digest over it."""
    digest = hashlib.sha256(_json(content)).hexdigest()
    return _json({**content, "digest": digest})


def _json(content: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(content, indent=1, allow_nan=False)}\n".encode()


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
