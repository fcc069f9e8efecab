"""What a report is about: a run, a blend with its sources, an ablation or a study."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmctr_kit.errors import RunError, UsageError
from mmctr_kit.files import read_json
from mmctr_kit.runs.compare import Compared, compare
from mmctr_kit.runs.predictions import Predictions
from mmctr_kit.runs.run import Run, all_runs, open_run

MOST_OTHERS = 10
"""So many other runs of the same rows stand beside a run, the best by valid AUC."""


@dataclass(frozen=True)
class Subject:
    """``name`` is what was asked for; ``run`` the run whose numbers the page tells: the run itself,
    an ablation's base, a study's chosen finalist.

    ``sources``: of a blend, those of its runs that are still there; ``gone`` the names of the
    others. ``others``: the sources, or other runs of the same rows; ``board``: the run, then these.
    ``ablations``: ablation.json by the name of the recipe's run. ``study``: study.json, or None,
    and ``study_path`` its folder.
    """

    name: str
    run: Run
    metrics: Mapping[str, Any]
    found: Predictions
    sources: tuple[Run, ...] = ()
    gone: tuple[str, ...] = ()
    others: tuple[Run, ...] = ()
    board: tuple[Compared, ...] = ()
    ablations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    study: Mapping[str, Any] | None = None
    study_path: Path | None = None

    @property
    def kind(self) -> str:
        return self.run.manifest.kind

    @property
    def parts(self) -> tuple[Run, ...]:
        """The cv runs that training tells of: a blend's, or the run itself."""
        runs = self.sources or (self.run,)
        return tuple(r for r in runs if r.manifest.kind == "cv")


def subject_name(name: str, root: Path) -> str:
    """``name``, or the study or ablation of that name where there is no run of it.

    Raises UsageError where there are both.
    """
    if any(path.is_dir() for path in (root / name, Path(name))):
        return name
    beside = [n for n in (f"{name}.study", f"{name}.ablate") if (root / n).is_dir()]
    if len(beside) > 1:
        raise UsageError(f"no run '{name}' under {root}; name {' or '.join(beside)}")
    return beside[0] if beside else name


def open_subject(name: str, root: Path) -> Subject:
    """The run, blend, ablation or study ``name`` under ``root``, or at that path.

    Raises UsageError where there is none, RunError where it is unfinished or damaged.
    """
    name = subject_name(name, root)
    study = None
    run = None
    for path in (root / name, Path(name)):
        if (path / "study.json").is_file():
            study = _read_study(path)
            run = _chosen(path, study)
            study_path = path
            break
        if (path / "ablation.json").is_file():
            run = open_run("base", path)
            break
        if (path / "settings.json").is_file() or (path.suffix == ".ablate" and path.is_dir()):
            raise RunError(f"'{name}' is unfinished; run the command that began it again")
    else:
        run = open_run(name, root)
    if study is None:
        study_path = run.path.with_name(f"{run.name}.study")
        study = _study_beside(study_path)
    metrics, found = run.metrics, run.predictions()
    beside = {r.name: r for r in all_runs(run.path.parent) if r.finished and r.name != run.name}
    named = run.manifest.sources
    places = [p for p in run.source_places.values() if p.resolve() != run.path.resolve()]
    sources = tuple(r for p in places if (r := Run(p)).finished)
    there = {source.name for source in sources}
    others = sources if named else _alike(run, list(beside.values()))
    return Subject(
        name=Path(name).name,
        run=run,
        metrics=metrics,
        found=found,
        sources=sources,
        gone=tuple(n for n in named if n not in there),
        others=others,
        board=tuple(compare(run, found, others)),
        ablations=_ablations((run, *sources)),
        study=study,
        study_path=None if study is None else study_path,
    )


def _read_study(path: Path) -> Mapping[str, Any]:
    """study.json. RunError where an earlier version wrote it."""
    study = read_json(path / "study.json")
    if any("changes" not in final for final in study["finalists"]):
        raise RunError(
            f"study {path.name} is of an earlier version; its tune command, given again, trains "
            "nothing and writes it anew"
        )
    return study


def _study_beside(path: Path) -> Mapping[str, Any] | None:
    """A run's own page does without a study that can't be read."""
    try:
        return _read_study(path) if (path / "study.json").is_file() else None
    except RunError:
        return None


def _chosen(path: Path, study: Mapping[str, Any]) -> Run:
    """A study's chosen finalist."""
    if not study["finalists"]:
        raise RunError(f"study {path.name} has no finalist yet; run its tune command again")
    return open_run(str(study["finalists"][0]["run"]), path / "finalists")


def _alike(run: Run, others: list[Run]) -> tuple[Run, ...]:
    """The best others of the same rows and labels."""
    rows, scored = run.manifest.rows, []
    for other in others:
        try:
            if other.manifest.rows == rows and other.metrics["valid"] is not None:
                scored.append((-float(other.metrics["valid"]["value"]), other.name, other))
        except RunError:
            continue  # a damaged neighbour is no reason to tell nothing of this run
    return tuple(other for _, _, other in sorted(scored)[:MOST_OTHERS])


def _ablations(runs: tuple[Run, ...]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for run in runs:
        for folder in (run.path.with_name(f"{run.name}.ablate"), run.path.parent):
            if (folder / "ablation.json").is_file():
                found[run.name] = read_json(folder / "ablation.json")
    return found
