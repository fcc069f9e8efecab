"""Read a bundle, and check that its files are as they were written."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.errors import DataError, UsageError, plural
from mmctr_kit.files import file_sha256, load_arrays
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.recipe import Recipe, parse_recipe
from mmctr_kit.yaml_files import read_yaml

FORMAT = 1
CONTENT, LOGITS, SUBMISSION = (
    "bundle.json",
    "logits.safetensors",
    "submission.zip",
)
ITEM_FILES = {
    "file": "items.parquet",
    "encoded": "encoded.parquet",
    "drop_modality": "dropped.csv",
}
"""The bundle's names of the files that the recipe's keys ``items`` name."""
MAY_BE_EDITED = ("README.md", "LICENSE")
"""Files that nothing is computed from: a team may add its name."""


@dataclass(frozen=True, repr=False)
class Bundle:
    """A bundle whose files are as they were written.

    ``content`` is what bundle.json says, without its own digest. ``extra`` names files that the
    bundle was written without, and ``edited`` those of README.md and LICENSE that have changed.
    """

    path: Path
    content: Mapping[str, Any]
    extra: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()

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
    def rules(self) -> tuple[str, ...]:
        """What README.md says of the task's rules: each that is broken or unclear; may be empty."""
        rules: Mapping[str, list[str]] = self.content["rules"]
        return tuple(f"{verdict}: {text}" for verdict, texts in rules.items() for text in texts)

    @property
    def valid_auc(self) -> Estimate:
        """The run's AUC on the valid split, as bundle.json has it."""
        return Estimate.from_json(self.content["scores"]["valid"])

    def recipe(self) -> Recipe:
        """The run's recipe, with the paths of the bundle's files of items that the run read."""
        content = read_yaml(self.path / "recipe.yaml", "recipe")
        recipe = parse_recipe(content, f"the recipe of {self.path}")
        files = {key: self.path / ITEM_FILES[key] for key in recipe.items.files}
        return recipe.changed({f"items.{key}": str(p.resolve()) for key, p in files.items()})

    def logits(self) -> dict[str, NDArray[np.float64]]:
        """``valid`` and ``test`` (folds, rows) float64, as in the run."""
        return load_arrays(self.path / LOGITS)

    @property
    def _what(self) -> str:
        return f"{self.run}, {plural(sum(map(len, self.models.values())), 'model')}"

    def __str__(self) -> str:
        return f"{self.path}: {self._what}, {self.rows:,} rows of {self.task}"

    def __repr__(self) -> str:
        return f"<Bundle {self.path}: {self._what}, {self.task}>"

    def _repr_html_(self) -> str:
        rules = "; ".join(self.rules) or "kept"
        text = f"valid AUC {self.valid_auc}; rules of {self.task}: {rules}"
        return f"<b>{escape(str(self))}</b><br>{escape(text)}"


def open_bundle(path: Path) -> Bundle:
    """The bundle in a folder, each of whose files has the sha256 that bundle.json gives.

    README.md and LICENSE may have been edited. Raises UsageError if there is no bundle, and
    DataError that names the files that are missing or were changed, bundle.json itself included.
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
    edited = tuple(name for name in changed if name in MAY_BE_EDITED)
    parts = {"changed": [n for n in changed if n not in edited], "missing": missing}
    if faults := [f"{what}: {_listed(names)}" for what, names in parts.items() if names]:
        raise DataError(f"damaged bundle '{path}': {'; '.join(faults)}; {_AGAIN}")
    return Bundle(path, content, _extra(path, files), edited)


_AGAIN = "copy the bundle again from its source"
_LISTED = 10


def _listed(names: Sequence[str]) -> str:
    """The names, or the first of them and how many more there are."""
    more = [f"{len(names) - _LISTED:,} more"] if len(names) > _LISTED else []
    return ", ".join([*names[:_LISTED], *more])


def _extra(path: Path, files: Mapping[str, str]) -> tuple[str, ...]:
    """Files and, as one, folders that the bundle was written without.

    Hidden ones do not count, nor what Python leaves beside code that has run.
    """
    folders = {str(folder) for name in files for folder in PurePosixPath(name).parents}
    present = (p for folder in folders for p in (path / folder).iterdir())
    names = {
        p.relative_to(path).as_posix()
        for p in present
        if not p.name.startswith(".") and p.name != "__pycache__"
    }
    return tuple(sorted(names - files.keys() - folders - {CONTENT}))


def rendered(content: Mapping[str, Any]) -> bytes:
    """The bytes of bundle.json: the content, and a digest over it."""
    digest = hashlib.sha256(_json(content)).hexdigest()
    return _json({**content, "digest": digest})


def _json(content: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(content, indent=1, allow_nan=False)}\n".encode()
