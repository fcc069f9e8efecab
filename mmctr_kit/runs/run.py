"""Reading run folders, and finding them by name.

Every file of a run is written under a temporary name and renamed; ``DONE``, its seal, comes last
(:mod:`mmctr_kit.runs.seal`). Whatever may differ between two equal runs is in files named
``timings.json`` and nowhere else: seconds, and the run's lineage (date, command line, data folder,
git commit, host).
"""

import re
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmctr_kit.errors import RunError, UsageError, did_you_mean
from mmctr_kit.files import file_sha256, read_columns, read_json, regular
from mmctr_kit.metrics.estimate import Estimate
from mmctr_kit.metrics.ranks import Floats
from mmctr_kit.runs.lineage import Lineage, read_lineage, unfinished
from mmctr_kit.runs.manifest import KINDS, Manifest
from mmctr_kit.runs.predictions import Keys, OutOfFold, Predictions, fold_logits
from mmctr_kit.runs.seal import SEAL, holds, marked, read_timings, sealed_file, sealed_names
from mmctr_kit.runs.stored import checked, checked_timings, epochs_in, read_metrics
from mmctr_kit.yaml_files import parse_yaml

if TYPE_CHECKING:
    import pandas as pd

    from mmctr_kit.recipe import Recipe


class Run:
    """A run folder to read from; ``open_run`` finds one by its name.

    Whatever reads a file of a finished run raises RunError if it was changed since.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = self.path.name

    @property
    def finished(self) -> bool:
        """Whether it has its seal; not if its folder may not be entered."""
        with suppress(PermissionError):
            return (self.path / SEAL).is_file()
        return False

    def file(self, name: str) -> Path:
        """The path of one of the run's files, which is as it was when the run was finished.

        Raises RunError if it was changed since, or is missing.
        """
        return sealed_file(self.path, name)

    def has(self, name: str) -> bool:
        """Whether the run has the file ``name``, be it lost since the run was finished."""
        return holds(self.path, name)

    def files(self, pattern: str) -> list[Path]:
        """The run's files whose paths inside it match the pattern, each as :meth:`file` says."""
        return [self.file(name) for name in sealed_names(self.path, pattern)]

    @property
    def manifest(self) -> Manifest:
        path = self.file("manifest.json")
        try:
            manifest = Manifest.from_json(read_json(path))
        except TypeError as e:
            raise RunError(
                f"{path} is no manifest of this version of mmctr-kit; move its folder away"
            ) from e
        result: Manifest = checked(Manifest, vars(manifest), path)
        return result

    @property
    def metrics(self) -> dict[str, Any]:
        return read_metrics(self.file("metrics.json"))

    @property
    def timings(self) -> dict[str, Any]:
        return checked_timings(read_timings(self.path), self.path / "timings.json")

    @property
    def lineage(self) -> Lineage | None:
        """When, where and by which command the run was made; None if that was not recorded."""
        return read_lineage(self.path)

    @property
    def source_places(self) -> dict[str, Path]:
        """Folders of a blend's runs by name: beside the blend, unless blend.json notes another."""
        noted = self._blend.get("places", {})
        if not isinstance(noted, dict) or not all(isinstance(p, str) for p in noted.values()):
            raise RunError(
                f"{self.path / 'blend.json'} is damaged: its places are no paths; make it again"
            )
        return {n: self.path.parent / noted.get(n, n) for n in self.manifest.sources}

    @property
    def seal_digest(self) -> str:
        """The sha256 of the seal, and so of all that is sealed; "" if there is none to read."""
        with suppress(OSError):
            return file_sha256(self.path / SEAL)
        return ""

    @property
    def remade_sources(self) -> list[str]:
        """Which of a blend's runs were made again, otherwise, since it was made of them."""
        seals = self._blend.get("seals")  # an earlier version noted none
        seals = seals if isinstance(seals, dict) else {}
        there = {name: Run(place).seal_digest for name, place in self.source_places.items()}
        return [name for name, now in there.items() if now and seals.get(name, now) != now]

    @property
    def blend_method(self) -> str:
        """The method of a blend; empty for other runs."""
        return str(self._blend.get("method", ""))

    @property
    def _blend(self) -> dict[str, Any]:
        return read_json(self.file("blend.json")) if self.has("blend.json") else {}

    @property
    def recipe_text(self) -> str | None:
        """The resolved recipe's YAML; None for blends and imports, which have none."""
        if not self.has("recipe.yaml"):
            return None
        path = self.file("recipe.yaml")
        try:
            return path.read_text("utf-8")
        except (OSError, ValueError) as e:
            raise RunError(f"{path} is not readable; copy the run again") from e

    def recipe(self) -> "Recipe":
        """The resolved recipe of a run that was trained; RunError if it has none to read."""
        from mmctr_kit.recipe import parse_recipe

        return parse_recipe(self.recipe_content(), f"the recipe of {self.name}")

    def recipe_content(self) -> dict[str, Any]:
        """The resolved recipe as plain values, not checked; RunError if there is none to read.

        Raises UsageError for a blend or an import, which have none.
        """
        if not self.has("recipe.yaml") and (why := self._without_recipe()):
            raise UsageError(f"'{self.name}' {why}")
        try:
            content = parse_yaml(self.recipe_text or "")
        except (OSError, ValueError) as e:
            raise RunError(f"{self.path} has no readable recipe.yaml; copy the run again") from e
        if not isinstance(content, dict):
            raise RunError(f"{self.path} has no recipe in its recipe.yaml; copy the run again")
        return content

    def _without_recipe(self) -> str:
        """Why a run has no recipe, and what to name instead; empty if it should have one."""
        if not self.finished or self.manifest.kind not in ("blend", "imported"):
            return ""
        if self.manifest.kind == "imported":
            return "was imported and has no recipe; name a run that was trained here"
        sources = " or ".join(self.manifest.sources)
        return f"is a blend, which has no recipe; name one of its runs: {sources}"

    def epochs(self) -> dict[str, list[dict[str, Any]]]:
        """Each fold model's epochs by "fold-seed"; empty for a run that trained nothing.

        An epoch has the keys ``epoch``, ``train_loss``, ``holdout_auc``, ``best`` and others.
        """
        epochs = {}
        for path in self.files("folds/*/metrics.jsonl"):
            try:
                lines = regular(path).read_text().splitlines()
            except (OSError, ValueError) as e:
                raise RunError(f"{path} is not readable; make the run again") from e
            epochs[path.parent.name] = epochs_in(lines, path)
        return epochs

    @property
    def valid_auc(self) -> Estimate | None:
        """AUC of the fold mean on the valid split, the headline; None without valid rows."""
        return Estimate.find(self.metrics, "valid")

    @property
    def oof_auc(self) -> Estimate | None:
        """Mean AUC of the fold models on their own folds; None without OOF."""
        return Estimate.find(self.metrics, "oof")

    def oof(self) -> "pd.DataFrame":
        """Out-of-fold predictions: row key, label, fold, logit. RunError if the run has none."""
        if not self.has("oof.parquet"):
            why = KINDS[self.manifest.kind]
            raise RunError(f"run '{self.name}' has no OOF predictions: it is {why}")
        return self._frame("oof")

    def valid(self) -> "pd.DataFrame":
        """Predictions of the valid split: row key, label, the fold mean's logit, each fold's."""
        return self._frame("valid")

    def test(self) -> "pd.DataFrame":
        """Predictions of the test split: ID, row key, the fold mean's logit, each fold's."""
        return self._frame("test")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        if not self.finished:
            return f"<b>{escape(self.name)}</b> (unfinished)"
        aucs = f"valid AUC {self.valid_auc}"
        if self.oof_auc is not None:
            aucs += f" (fold mean), OOF AUC {self.oof_auc} (fold models)"
        return f"<b>{escape(self.name)}</b> ({self.manifest.kind}): {aucs}"

    def _frame(self, name: str) -> "pd.DataFrame":
        import pandas as pd

        return pd.DataFrame(self._table(name))

    def predictions(self, with_oof: bool = True, with_test: bool = True) -> Predictions:
        """The run's predictions, rows in canonical order whatever the files' order.

        Without OOF or test, whose files are the large ones, it has none or no rows of them.
        """
        oof = None
        if with_oof and self.has("oof.parquet"):
            table = self._table("oof")
            oof = OutOfFold(Keys.of(table), table["label"], table["fold"], table["logit"])
        valid = self._table("valid")
        keys, label, each = Keys.of(valid), valid["label"], fold_logits(valid)
        if not with_test:
            return Predictions(oof, keys, label, each, Keys.none(), np.zeros((len(each), 0)))
        test = self._table("test")
        return Predictions(oof, keys, label, each, Keys.of(test), fold_logits(test))

    def test_scores(self) -> Floats:
        """(rows,) the fold mean's test logits in ID order, without reading the rest."""
        return np.asarray(self._table("test")["logit"], np.float64)

    def _table(self, name: str) -> dict[str, NDArray[Any]]:
        columns = read_columns(self.file(f"{name}.parquet"))
        if "ID" not in columns and Keys.of(columns).ordered:  # as it was written
            return columns
        order = np.argsort(columns["ID"]) if "ID" in columns else Keys.of(columns).order()
        return {n: values[order] for n, values in columns.items()}


def open_run(name_or_path: str, root: Path) -> Run:
    """A finished run by name under ``root`` or by path.

    Raises UsageError if there is none, RunError if it is unfinished.
    """
    for path in (root / name_or_path, Path(name_or_path)):
        if is_run(path):
            run = Run(path.resolve())
            if not run.finished:
                raise unfinished(run.path, f"run '{run.name}'")
            return run
    if not root.is_dir():
        raise UsageError(
            f"no run '{name_or_path}': there is no folder '{root}'; name the folder of runs with "
            "--runs"
        )
    known = [r.name for r in all_runs(root)]
    deeper, listed = _of_study(root, name_or_path), ", ".join(known) or "none"
    kind = _STUDIES.get(Path(name_or_path).suffix)
    if kind and any((folder / name_or_path).is_dir() for folder in (root, Path())):
        one = f"; name one of its runs: {', '.join(deeper)}" if deeper else " without a run so far"
        raise UsageError(f"'{name_or_path}' is {kind}{one}")
    if deeper:
        raise UsageError(f"no run '{name_or_path}' under {root} itself, but {', '.join(deeper)}")
    hint = did_you_mean(name_or_path, known)
    raise UsageError(f"no run '{name_or_path}'{hint} under {root}; runs there: {listed}")


_STUDIES = {".study": "a study", ".ablate": "an ablation"}
"""Folders of several runs, by the suffix of their names."""


def _of_study(root: Path, name: str) -> list[str]:
    """The runs of studies and ablations called ``name``, as :func:`open_run` takes them."""
    path = Path(name)
    names = [path] if path.suffix in _STUDIES else [Path(f"{name}{s}") for s in _STUDIES]
    folders = [n / "finalists" if n.suffix == ".study" else n for n in names]
    inside = [r.path.relative_to(root) for f in folders for r in all_runs(root / f)]
    return [str(p) for p in inside] or [str(r.path) for f in folders for r in all_runs(f)]


def refuse_as_recipe(name: str, root: Path) -> None:
    """Raise UsageError if ``name`` is a run, a study or an ablation under ``root`` or at the path.

    It says where the recipe of that is.
    """
    recipes = {".study": "best.yaml", ".ablate": "base/recipe.yaml"}
    for path in (base / f"{name}{end}" for base in (root, Path()) for end in ("", *_STUDIES)):
        what = _STUDIES.get(path.suffix, "a blend" if (path / "blend.json").is_file() else "a run")
        file = path / recipes.get(path.suffix, "recipe.yaml")
        if file.is_file():
            raise UsageError(
                f"'{name}' is {what} in {path.parent}, not a recipe; its recipe is {file}"
            )
        if is_run(path) or (path.suffix in _STUDIES and path.is_dir()):
            advice = "name a shipped recipe ('mmctr-kit recipes' lists them) or a YAML file"
            if what == "a blend":
                advice = "name the recipe.yaml in the folder of one of its runs"
            raise UsageError(f"'{name}' is {what} in {path.parent}, which has no recipe; {advice}")


_LONGEST = 200
"""A file system takes 255, and the names of a run's submissions are longer than its own."""
_RESERVED = re.compile(r"(con|prn|aux|nul|(com|lpt)\d)(\..*)?|.*\.", re.IGNORECASE)
"""Names that Windows has for devices, or shortens."""


def run_path(root: Path, name: str, suffix: str = "") -> Path:
    """The folder of the run ``name``, with ``suffix`` appended; UsageError if the name is unfit."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"--name {name!r}: expected letters, digits, dots, dashes, underscores")
    if len(name) > _LONGEST:
        raise UsageError(f"--name {name[:20]}...: found {len(name)} characters; at most {_LONGEST}")
    if _RESERVED.fullmatch(name):
        raise UsageError(f"--name {name!r}: Windows has no such folders; choose another name")
    path = root / f"{name}{suffix}"
    if path.is_symlink() and not path.exists():
        raise UsageError(f"'{path}' is a link to nothing; delete it, or choose another --name")
    return path


def all_runs(root: Path) -> list[Run]:
    """Every run folder under ``root``, finished or not, by name."""
    folders = {path.parent for mark in ("manifest.json", SEAL) for path in root.glob(f"*/{mark}")}
    return [Run(p) for p in sorted(folders) if not p.name.startswith(".") and is_run(p)]


def is_run(path: Path) -> bool:
    """Whether a run is at ``path``, be its manifest lost."""
    return marked(path, "manifest.json")


def recipe_beside(file: Path) -> "Recipe | None":
    """The recipe of the run in whose ``folds/FOLD-SEED/`` the weights are, None if in none."""
    run = Run(file.resolve().parent.parent.parent)
    in_run = file.resolve().parent.parent.name == "folds" and run.recipe_text is not None
    return run.recipe() if in_run else None
