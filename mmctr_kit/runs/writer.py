"""The one writer of run folders."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmctr_kit.data.folds import WHOLE
from mmctr_kit.errors import RunError
from mmctr_kit.files import made_folder, write_json, write_table, write_whole
from mmctr_kit.runs.conflict import changed_environment, is_finished
from mmctr_kit.runs.fold_folder import FoldFolder
from mmctr_kit.runs.lineage import begin_lineage, note_resumed, now, read_lineage, write_lineage
from mmctr_kit.runs.manifest import Manifest
from mmctr_kit.runs.predictions import Predictions, logit_columns
from mmctr_kit.runs.run import Run
from mmctr_kit.runs.seal import SEAL, digests_of, read_seal, write_seal

_AS_BEFORE = ", or give --threads as before"


class RunWriter:
    """Writes a run folder; :func:`begin_run` returns one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fold(self, fold: int, seed: int) -> FoldFolder:
        """The folder of one model, ``all-SEED`` for one of the whole train split."""
        return FoldFolder(self.path / "folds" / f"{'all' if fold == WHOLE else fold}-{seed}")

    def write_json(self, name: str, content: Any) -> None:
        write_json(self.path / name, content)

    def resumed(self) -> None:
        """Count that one more command goes on with what the commands before it left."""
        note_resumed(self.path)

    def finish(
        self, predictions: Predictions, metrics: Mapping[str, Any], timings: Mapping[str, Any]
    ) -> Run:
        """Write the predictions, metrics, timings and when it was finished and, last, the seal."""
        if predictions.oof is not None:
            oof = predictions.oof
            columns = {"label": oof.label, "fold": oof.fold, "logit": oof.logit}
            write_table(self.path / "oof.parquet", vars(oof.keys) | columns)
        valid = vars(predictions.valid_keys) | {"label": predictions.valid_label}
        write_table(self.path / "valid.parquet", valid | logit_columns(predictions.valid))
        test = {"ID": np.arange(len(predictions.test_keys))} | vars(predictions.test_keys)
        write_table(self.path / "test.parquet", test | logit_columns(predictions.test))
        write_json(self.path / "metrics.json", metrics)
        lineage = read_lineage(self.path)
        write_lineage(self.path, lineage and replace(lineage, finished=now()), timings)
        write_seal(self.path, self._digests())
        return Run(self.path)

    def _digests(self) -> dict[str, str]:
        """The sha256 of every file; of a fold model's as it was when that was finished."""
        here = (path.name for path in self.path.glob("[!.]*") if path.is_file())
        digests = digests_of(self.path, here)
        for folder in self.path.glob("folds/[!.]*"):
            names = [path.name for path in folder.glob("[!.]*")]
            files = read_seal(folder) or digests_of(folder, names)
            files = {**files, **digests_of(folder, {SEAL} & {*names})}
            digests |= {f"folds/{folder.name}/{name}": digest for name, digest in files.items()}
        return digests


def begin_run(
    path: Path,
    manifest: Manifest,
    recipe_yaml: str | None,
    force: bool,
    data: Path | None = None,
) -> RunWriter | None:
    """Create the run folder, or resume an unfinished one; None if the run is already finished.

    ``data`` is the data folder, for the lineage. Raises RunError if another run has that name,
    unless ``force``, which replaces it.
    """
    if is_finished(path, manifest, force, recipe_yaml):
        return None
    if path.exists() and not force:
        if changed := changed_environment(Run(path), manifest):
            only_threads = all(part.startswith("threads ") for part in changed)
            raise RunError(
                f"run '{path.name}' was begun elsewhere ({', '.join(changed)}); finish it there"
                f"{_AS_BEFORE if only_threads else ''}, or --force to begin again"
            )
        if recipe_yaml is not None:
            _write_recipe(path, recipe_yaml)  # the manifest says that it is the same
        return RunWriter(path)
    with made_folder(path, force) as folder:
        if recipe_yaml is not None:
            _write_recipe(folder, recipe_yaml)
        write_json(folder / "manifest.json", asdict(manifest))
        write_lineage(folder, begin_lineage(data, manifest.environment.get("device")), {})
    return RunWriter(path)


def _write_recipe(path: Path, text: str) -> None:
    write_whole(path / "recipe.yaml", lambda p: p.write_text(text))
