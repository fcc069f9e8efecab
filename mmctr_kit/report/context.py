"""The context of a report: the run it is about, what lies beside that run, and its page's file."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from mmctr_kit.errors import MmctrKitError, RunError, UsageError
from mmctr_kit.files import read_json, require_free
from mmctr_kit.runs.compare import Compared, compare
from mmctr_kit.runs.lineage import unfinished
from mmctr_kit.runs.predictions import Predictions
from mmctr_kit.runs.run import Run, all_runs, open_run
from mmctr_kit.runs.seal import marked, noting_damage, sealed_file
from mmctr_kit.runs.slices import slices_of
from mmctr_kit.submission.verdicts import RuleVerdict, check_run

MOST_OTHERS = 10
"""At most this many other runs of the same rows are compared, the best by valid AUC."""
MARK = "<!-- mmctr-kit report -->"
"""The page's second line; only a file that has it is written over."""


@dataclass(frozen=True)
class ReportContext:
    """A run whose scores a page shows, and the files that the page is made of.

    ``name`` is the name on the command line; ``run`` the named run, an ablation's base, or a
    study's chosen finalist, with its ``metrics``: those of a blend have its slices too, if its data
    are there. ``root`` is the folder of runs, ``submissions`` that of submissions.
    ``sources`` are a blend's runs that still exist, ``missing`` the names of the others.
    ``others``: the sources, or other runs of the same rows; ``leaderboard``: the run, then the
    others. ``ablations``: ablation.json by the name of the recipe's run. ``study``: study.json or
    None, in the folder ``study_path``.
    """

    name: str
    root: Path
    submissions: Path
    run: Run
    metrics: Mapping[str, Any]
    predictions: Predictions
    sources: tuple[Run, ...] = ()
    missing: tuple[str, ...] = ()
    others: tuple[Run, ...] = ()
    leaderboard: tuple[Compared, ...] = ()
    ablations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    study: Mapping[str, Any] | None = None
    study_path: Path | None = None

    @property
    def kind(self) -> str:
        return self.run.manifest.kind

    @cached_property
    def rules(self) -> tuple[RuleVerdict, ...]:
        """What each task's rules say of the run; of a blend of many runs that takes seconds."""
        return check_run(self.run, self.run.path.parent)

    @property
    def predictor(self) -> str:
        """What predicts valid and test, in words: a fold mean and one model never look alike."""
        if self.kind == "fit":
            models = len(self.run.manifest.seeds)
            return "one model" if models == 1 else f"mean of {models} models"
        return {"cv": "fold mean", "blend": "the blend"}.get(self.kind, "the imported scores")

    @property
    def about(self) -> Literal["run", "study", "ablation"]:
        """What the page is named after; a study or an ablation comes first on its page."""
        if self.name == self.run.name:
            return "run"
        return "ablation" if self.name.endswith(".ablate") else "study"

    @property
    def data(self) -> Path | None:
        """The data folder that the run, or a run it is made of, was made from, if it is there."""
        for run in (self.run, *self.sources):
            lineage = run.lineage
            if lineage is not None and lineage.data is not None and Path(lineage.data).is_dir():
                return Path(lineage.data)
        return None

    @property
    def trained(self) -> tuple[Run, ...]:
        """The runs that trained models and that the page is about: a blend's, or the run itself."""
        runs = self.sources or (self.run,)
        return tuple(r for r in runs if r.manifest.kind in ("cv", "fit"))

    def path(self, run: Run) -> Path:
        """The run's path for a command: below ``root``, as that is given, if the run lies there."""
        inside = self._inside(run)
        return run.path if inside is None else self.root / inside

    def argument(self, run: Run) -> str:
        """The run as commands with ``--runs root`` take it: its name, or its path if deeper."""
        path = self.path(run)
        return run.name if path == self.root / run.name else str(path)

    def label(self, run: Run) -> str:
        """The name for files and runs made from the run: s-trial-0 for trial-0 of the study s."""
        inside = self._inside(run)
        parts = (run.name,) if inside is None else inside.parts
        names = (part.removesuffix(".study").removesuffix(".ablate") for part in parts)
        return "-".join(name for name in names if name != "finalists")

    def _inside(self, run: Run) -> Path | None:
        """The run's path under ``root``; None if it lies elsewhere."""
        path, top = run.path.resolve(), self.root.resolve()
        return path.relative_to(top) if path.is_relative_to(top) else None


def is_page(path: Path) -> bool:
    """Whether there is a file that was written as a report's page."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return MARK.encode() in file.read(200)


def pages_of(paths: Sequence[Path]) -> list[Path]:
    """The pages beside these folders of runs, studies and ablations, and the indexes with them."""
    pages = [page for path in paths if is_page(page := path.with_name(f"{path.name}.html"))]
    indexes = dict.fromkeys(page.with_name("index.html") for page in pages)
    return [*pages, *filter(is_page, indexes)]


def require_page(out: Path) -> None:
    """Raise UsageError if the page may not be written to ``out``: only a report is replaced."""
    replace = is_page(out)
    advice = " and is no report; name another --out"
    require_free(out, "a report", (".html", ".htm"), replace, advice)


def resolve_name(name: str, root: Path) -> str:
    """``name``, or its study or ablation if no run is called so; UsageError if there are both."""
    if any(path.is_dir() for path in (root / name, Path(name))):
        return name
    folders = [n for n in (f"{name}.study", f"{name}.ablate") if (root / n).is_dir()]
    if len(folders) > 1:
        raise UsageError(f"no run '{name}' under {root}; name {' or '.join(folders)}")
    return folders[0] if folders else name


def open_context(name: str, root: Path, submissions: Path) -> ReportContext:
    """The context of the run, blend, ablation or study ``name`` under ``root``, or at that path.

    Raises UsageError if there is none, RunError if it is unfinished or damaged.
    """
    name = resolve_name(name, root)
    run, study, study_path = _open(name, root)
    if study is None:
        study_path = run.path.with_name(f"{run.name}.study")
        # A run's own page does without a study that cannot be read.
        with suppress(RunError), noting_damage("the page is without a study"):
            study = _read_study(study_path)
    predictions = run.predictions()
    paths = [p for p in run.source_places.values() if p.resolve() != run.path.resolve()]
    sources = tuple(r for p in paths if (r := Run(p)).finished)
    existing = {source.name for source in sources}
    metrics = run.metrics
    # A page does without the slices of a blend whose data are gone.
    with suppress(MmctrKitError), noting_damage("the page is without slices"):
        metrics |= slices_of(run)
    others = sources if run.manifest.sources else _runs_of_same_rows(run)
    return ReportContext(
        name=Path(name).name,
        root=root,
        submissions=submissions,
        run=run,
        metrics=metrics,
        predictions=predictions,
        sources=sources,
        missing=tuple(n for n in run.manifest.sources if n not in existing),
        others=others,
        leaderboard=tuple(compare(run, predictions, others)),
        ablations=_ablations((run, *sources)),
        study=study,
        study_path=None if study is None else study_path,
    )


def _open(name: str, root: Path) -> tuple[Run, Mapping[str, Any] | None, Path | None]:
    """The run whose scores are shown; with the content and the folder of a study."""
    for path in (root / name, Path(name)):
        if marked(path, "study.json"):
            study = _read_study(path)
            if not study["finalists"]:
                raise RunError(
                    f"study '{path.name}' has no finalists, whose scores the page shows; repeat "
                    "its command with --finalists 1 or more"
                )
            run = open_run(str(study["finalists"][0]["run"]), path / "finalists")
            return run, study, path
        if marked(path, "ablation.json"):
            return open_run("base", path), None, None
        if marked(path, "settings.json") or (path.suffix == ".ablate" and path.is_dir()):
            raise unfinished(path, f"'{name}'")
    return open_run(name, root), None, None


def _read_study(path: Path) -> Mapping[str, Any]:
    """Read study.json. Raises RunError if an earlier version wrote it."""
    study = read_json(sealed_file(path, "study.json"))
    if any("changes" not in final for final in study["finalists"]):
        raise RunError(
            f"study {path.name} was written by an earlier version; run its tune command again: it "
            "trains nothing and rewrites study.json"
        )
    return study


def _runs_of_same_rows(run: Run) -> tuple[Run, ...]:
    """The best other finished runs beside this one that predict the same rows and labels."""
    scored = []
    for other in all_runs(run.path.parent):
        if not other.finished or other.name == run.name:
            continue
        same, valid = False, None
        # A damaged neighbour must not stop this run's page.
        with suppress(RunError), noting_damage(f"not compared with {other.name}"):
            same, valid = other.manifest.rows == run.manifest.rows, other.metrics["valid"]
        if same and valid is not None:
            scored.append((-float(valid["value"]), other.name, other))
    return tuple(other for _, _, other in sorted(scored)[:MOST_OTHERS])


def _ablations(runs: tuple[Run, ...]) -> dict[str, Mapping[str, Any]]:
    return {
        run.name: read_json(sealed_file(folder, "ablation.json"))
        for run in runs
        for folder in (run.path.with_name(f"{run.name}.ablate"), run.path.parent)
        if marked(folder, "ablation.json")
    }
